from xml.etree import ElementTree

from relay_project.charts import HEIGHT, Chart, Series, svg_chart, text_chart

RISING = Series("rising", "●", 36, "#0b6bcb", (0.2, 0.4, 0.6))
FLAT = Series("flat", "·", 37, "#888888", (0.2, 0.2))


def chart(*series: Series, level: float = 0.5) -> Chart:
    return Chart("calls", "answers", series, level, "enough")


def plain(text: str, colour: int) -> str:
    return text


def test_lines_stand_where_their_values_are() -> None:
    title, *rows = text_chart(chart(FLAT, RISING), plain).splitlines()
    assert title == "answers"
    top, bottom = rows[0], rows[HEIGHT - 1]
    assert top.startswith(" 60.0% ┤") and top.endswith("●") and "·" not in top
    assert bottom.startswith(" 20.0% ┤●") and bottom.endswith("·")
    assert rows[HEIGHT // 4].count("┄") > 50
    assert rows[-1].split() == ["●", "rising", "·", "flat", "┄", "enough"]


def test_colours_are_asked_for() -> None:
    assert "<36●>" in text_chart(chart(RISING), lambda text, colour: f"<{colour}{text}>")


def test_a_chart_without_any_rise_is_drawn_in_the_middle() -> None:
    rows = text_chart(chart(FLAT, level=0.2), plain).splitlines()[1:]
    assert "·" in rows[HEIGHT // 2]


def test_the_svg_is_a_picture_with_all_lines_and_their_names() -> None:
    root = ElementTree.fromstring(svg_chart(chart(FLAT, RISING)))
    space = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f"{space}polyline")
    assert [line.get("stroke") for line in lines] == ["#888888", "#0b6bcb"]
    _, y_first = lines[1].get("points", "").split()[0].split(",")
    _, y_last = lines[1].get("points", "").split()[-1].split(",")
    assert float(y_first) > float(y_last), "upwards is more"
    texts = [text.text for text in root.findall(f"{space}text")]
    assert {"● rising", "· flat", "enough", "answers", "calls", "0%", "100%", "20.0%", "60.0%"} <= set(texts)
