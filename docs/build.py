"""The guide as a site: ``python docs/build.py`` writes ``site/``; a link to a page that is not there ends it with 1.

Needs ``pip install -e '.[docs]'``. Pages link to each other as they do in the repository, also to some beside this
folder; so what is linked is laid out once more below ``build/guide``, and the site is made of that.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAGE = ROOT / "build" / "guide"
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md", "docs/**/*.md", "benchmarks/reports/*.md")
BESIDE = ("docs/**/*.png", "docs/**/*.csv", "benchmarks/reports/*.png", "CITATION.cff", "LICENSE")


def main() -> int:
    """The exit status of the site's builder; 1 where there is none."""
    if shutil.which("zensical") is None:
        print("docs/build.py: the builder of the guide is not there. pip install -e '.[docs]'", file=sys.stderr)
        return 1
    shutil.rmtree(STAGE, ignore_errors=True)
    for pattern in (*PAGES, *BESIDE):
        for source in sorted(ROOT.glob(pattern)):
            target = STAGE / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    shutil.copyfile(STAGE / "README.md", STAGE / "index.md")
    (STAGE / "README.md").unlink()
    return subprocess.run(["zensical", "build", "--strict", "--clean"], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
