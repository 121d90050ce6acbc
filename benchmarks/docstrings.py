"""How many parameters of the public API their own docstrings name: ``python benchmarks/docstrings.py``.

Public is what a module's ``__all__`` holds, and the public methods of such classes. A parameter of a function counts as
named where its docstring holds the name as a word; those of a constructor, and the fields of a dataclass or a named
tuple, where the class's docstring does or, for a field, where a docstring stands below it. What overrides a method of a
class of this package is documented there and not counted again; nor are ``self``, ``*args`` of an overridden method and
parameters that begin with an underscore. ``--missing`` lists what is not named; another package can be given.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench import ROOT, options_of, publish, table

HOOK = re.compile(r"on_|configure_|log_|setup|training_|validation_")
FOREIGN = {"forward", "update", "compute", "state_dict", "load_state_dict"}
FOREIGN |= {"save_checkpoint", "load_checkpoint", "finalize", "print"}
PACKAGE = ROOT / "lid_vae"


class Parameter(NamedTuple):
    """``owner`` is what takes it, by its full name."""

    owner: str
    name: str
    named: bool


def parameters(package: Path) -> Iterator[Parameter]:
    """All public ones of the package in a folder."""
    modules = {path: ast.parse(path.read_text()) for path in sorted(package.rglob("*.py"))}
    classes = {node.name: node for tree in modules.values() for node in tree.body if isinstance(node, ast.ClassDef)}
    for path, tree in modules.items():
        public = _exported(tree)
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or not _is_public(node.name, public):
                continue
            owner = f"{module}.{node.name}"
            if isinstance(node, ast.FunctionDef):
                yield from _of_function(owner, node, ast.get_docstring(node) or "")
                continue
            yield from _of_class(owner, node, classes)


def _of_class(owner: str, node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Iterator[Parameter]:
    text = ast.get_docstring(node) or ""
    inherited = _inherited(node, classes)
    for method in node.body:
        if not isinstance(method, ast.FunctionDef):
            continue
        if method.name == "__init__":
            yield from _of_function(owner, method, text + (ast.get_docstring(method) or ""))
        elif not method.name.startswith("_") and method.name not in inherited:
            yield from _of_function(f"{owner}.{method.name}", method, ast.get_docstring(method) or "")
    if _has_fields(node):
        for field, following in zip(node.body, [*node.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                name = field.target.id
                if not name.startswith("_") and "ClassVar" not in ast.unparse(field.annotation):
                    yield Parameter(owner, name, _mentions(text, name) or _is_docstring(following))


def _of_function(owner: str, node: ast.FunctionDef, text: str) -> Iterator[Parameter]:
    arguments = node.args
    kinds = {ast.unparse(decorator) for decorator in node.decorator_list}
    plain = [*arguments.posonlyargs, *arguments.args]
    if owner.count(".") and plain and plain[0].arg in ("self", "cls") and "staticmethod" not in kinds:
        plain = plain[1:]
    if any("overload" in kind or kind.endswith(".setter") for kind in kinds):
        return
    for argument in [*plain, *arguments.kwonlyargs]:
        if not argument.arg.startswith("_"):
            yield Parameter(owner, argument.arg, _mentions(text, argument.arg))


def _inherited(node: ast.ClassDef, classes: dict[str, ast.ClassDef], own: frozenset[str] | None = None) -> set[str]:
    """Methods that bases declare: of this package, or of Lightning's and torch's own, at any remove.

    ``own`` are the methods of the class that is asked about, where ``node`` is a base of it.
    """
    found: set[str] = set()
    if own is None:
        own = frozenset(method.name for method in node.body if isinstance(method, ast.FunctionDef))
    for base in node.bases:
        name = ast.unparse(base).split("[")[0].rpartition(".")[2]
        if name in classes and name != node.name:
            parent = classes[name]
            found |= {method.name for method in parent.body if isinstance(method, ast.FunctionDef)}
            found |= _inherited(parent, classes, own)
        elif name not in classes and name not in ("object", "Protocol", "NamedTuple", "ABC"):
            found |= FOREIGN | {*(name for name in own if HOOK.match(name))}
    return found


def _has_fields(node: ast.ClassDef) -> bool:
    decorated = any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
    return decorated or any(ast.unparse(base) == "NamedTuple" for base in node.bases)


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _is_docstring(node: ast.stmt | None) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _exported(tree: ast.Module) -> set[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return None


def _is_public(name: str, exported: set[str] | None) -> bool:
    return not name.startswith("_") if exported is None else name in exported


def main() -> None:
    parser = options_of(__doc__)
    parser.add_argument("package", type=Path, nargs="?", default=PACKAGE)
    parser.add_argument("--missing", action="store_true", help="list what is not named")
    options = parser.parse_args()
    found = list(parameters(options.package))
    rooms: dict[str, list[bool]] = {}
    for parameter in found:
        rooms.setdefault(parameter.owner.split(".")[1], []).append(parameter.named)
    rows = [
        [room, f"{len(named)}", f"{sum(named)}", f"{sum(named) / len(named):.0%}"]
        for room, named in sorted(rooms.items())
    ]
    total = [parameter.named for parameter in found]
    rows.append(["in total", f"{len(total)}", f"{sum(total)}", f"{sum(total) / len(total):.1%}"])
    lines = table(["room", "parameters", "named", "share"], rows)
    if options.missing:
        lines += ["", *(f"- {one.owner}: {one.name}" for one in found if not one.named)]
    publish("Parameters that their docstrings name", options, lines)


if __name__ == "__main__":
    main()
