"""An operator's module with a mistake."""

SHARE = 1 / 0
