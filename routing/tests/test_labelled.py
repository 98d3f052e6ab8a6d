import gzip
from pathlib import Path

import pytest

from routing.labelled import COLUMNS, MMLU, Labelled, UnreadableData, read_labelled

HEAD = "domain,prompt,mixtral_8x7b_correct,gpt4_1106_correct\n"
ROW = 'law,"Is it so?\nA. Yes, it is\nB. No",False,True\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


def test_plain_and_compressed_files_hold_the_same(file: Path) -> None:
    expected = [Labelled("law", "Is it so?\nA. Yes, it is\nB. No", weak=False, strong=True)]
    for raw in (HEAD + ROW, "\ufeff" + HEAD + ROW):
        file.write_text(raw)
        assert read_labelled(file) == expected
        file.write_bytes(gzip.compress(raw.encode()))
        assert read_labelled(file) == expected


def test_the_subject_may_be_unknown(file: Path) -> None:
    file.write_text(",".join(COLUMNS) + "\nWhy?,True,True\n")
    assert read_labelled(file) == [Labelled("", "Why?", weak=True, strong=True)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lacks prompt, mixtral_8x7b_correct, gpt4_1106_correct. Its first line must name"),
        (b"prompt,gpt4_1106_correct\nWhy?,True\n", "lacks mixtral_8x7b_correct. Its first line must name"),
        (HEAD.encode(), "holds no rows"),
        ((HEAD + "law,Why?,yes,True\n").encode(), "line 2: .* must be True or False"),
        ((HEAD + "law,Why?\n").encode(), "line 2: .* must be True or False"),
        ((HEAD + "law,Why\0?,True,True\n").encode("utf-16"), "is no CSV text in UTF-8"),
        ((HEAD + 'law,"Why?,True,True\n').encode(), "is no CSV text in UTF-8"),
        (gzip.compress((HEAD + ROW * 9).encode(), mtime=0)[:-12], "can't be read"),
        (b"\x1f\x8b\x08 no gzip", "can't be read"),
        (gzip.compress(b"x" * 99, mtime=0)[:20] + b"\xff" * 20, "can't be read"),
    ],
)
def test_a_bad_file_is_named_with_its_fault_and_the_remedy(file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    with pytest.raises(UnreadableData, match=said) as refused:
        read_labelled(file)
    assert str(file) in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableData, match=r"There is no file .*absent.csv. Name one with the columns prompt"):
        read_labelled(tmp_path / "absent.csv")
    with pytest.raises(UnreadableData, match="can't be read"):
        read_labelled(tmp_path)


def test_the_public_data_is_there() -> None:
    rows = read_labelled(MMLU)
    assert len(rows) == 8_525 and len({row.subject for row in rows}) == 37
