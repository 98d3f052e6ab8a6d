def discover() -> dict[str, str]:
    return {}
