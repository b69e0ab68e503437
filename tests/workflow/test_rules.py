"""The rules as they are written: whatever they hand to a shell is quoted."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_field_of_a_shell_command_is_quoted():
    """Paths and names may hold blanks, quotes and dollars."""
    commands = 0
    for file in (ROOT / "study/workflow/rules").glob("*.smk"):
        for command in re.findall(r"shell:\n((?: +\".*\"\n)+)", file.read_text()):
            commands += 1
            assert "python -m study" in command
            assert not re.search(r"\{[^{}]*(?<!:q)\}", command), (file.name, command)
    text = "".join(file.read_text() for file in (ROOT / "study/workflow/rules").glob("*.smk"))
    assert commands == text.count("shell:")
