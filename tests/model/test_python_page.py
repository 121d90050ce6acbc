"""docs/python.md does what it says, its blocks one after the other in one interpreter."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
PATTERN = r"^```python\n(.*?)^```\n\n?((?:    [^\n]*\n)*)"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*logging interval.*")
@pytest.mark.filterwarnings("ignore:Found .* in eval mode.*")
def test_its_programs_print_what_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(PATTERN, PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 7
    for program, said in blocks:
        lines: list[str] = []
        names["print"] = lambda *values, lines=lines: lines.append(" ".join(map(str, values)))
        exec(program, names)
        assert "\n".join(lines) == "\n".join(line.strip() for line in said.splitlines())
