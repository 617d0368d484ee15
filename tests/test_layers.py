"""Who may import whom, what the front door must not, and how long a file may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mslock

PACKAGE = Path(mslock.__file__).parent

#: The modules from the lowest to the highest: each imports only from lines above its own. A package is one layer.
LAYERS = (
    ("errors", "policy", "clock", "filesystem", "_statements", "_sqlite"),
    ("options", "signals", "notices", "schema", "identity"),
    ("settings", "conversation", "session", "drivers"),
    ("child", "guard", "store"),
    ("protocol", "waiting"),
    ("keeper",),
    ("watch",),
    ("claimant",),
    ("runner",),
    ("migrations",),
    ("commands",),
    ("__main__",),
)
#: What the front door does without, each a millisecond or more (design, section 7).
HEAVY = frozenset(
    (
        *("click", "sqlalchemy", "alembic", "psutil", "rich"),
        *("re", "typing", "dataclasses", "logging", "subprocess", "threading", "enum", "random"),
    )
)
#: What no run line imports.
SIDE_DOOR = ("schema", "migrations", "commands")

LINES_AT_MOST = 300
#: One noun, and the one file where everything that decides stands (h11's `_state.py`).
MAY_BE_LONGER = ("policy",)

FILES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
LAYER_OF = {module: number for number, layer in enumerate(LAYERS) for module in layer}


def module_of(path: Path) -> str:
    """The name that stands in `LAYERS`: a package's files all go by the package's."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, wherever in it, types included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("mslock."))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            if node.module == "mslock":
                yield from (alias.name for alias in node.names if alias.name != "__version__")
            elif (node.module or "").startswith("mslock."):
                yield (node.module or "").split(".")[1]


def imported_at_start(body: list[ast.stmt]) -> Iterator[str]:
    """The modules whose import a file's own import brings about."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]
        elif isinstance(node, ast.If) and is_type_checking(node):
            yield from imported_at_start(node.orelse)
        elif isinstance(node, (ast.If, ast.With)):
            yield from imported_at_start([*node.body, *getattr(node, "orelse", [])])
        elif isinstance(node, ast.Try):
            handlers = [statement for handler in node.handlers for statement in handler.body]
            yield from imported_at_start([*node.body, *handlers, *node.orelse, *node.finalbody])
        elif isinstance(node, ast.ClassDef):
            yield from imported_at_start(node.body)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward_only(path: Path) -> None:
    module = module_of(path)
    if module == "__init__":
        assert not list(imported(path))
        return
    assert module in LAYER_OF, f"give {module} its place in LAYERS"
    for other in imported(path):
        if other != module:
            assert LAYER_OF[other] < LAYER_OF[module], f"{module} imports {other}"


@pytest.mark.parametrize("module", ["policy", "errors"])
def test_the_lowest_import_nothing_of_ours(module: str) -> None:
    assert not list(imported(PACKAGE / f"{module}.py"))


def test_nothing_imports_the_commands_but_the_side_door() -> None:
    assert [module_of(path) for path in FILES if module_of(path) != "commands" and "commands" in imported(path)] == [
        "__main__"
    ]


def test_every_layer_is_there() -> None:
    assert set(LAYER_OF) <= {module_of(path) for path in FILES}
    assert len(LAYER_OF) == sum(map(len, LAYERS))


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if module_of(path) not in SIDE_DOOR],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_the_front_door_imports_nothing_heavy(path: Path) -> None:
    at_start = list(imported_at_start(ast.parse(path.read_text(encoding="utf-8")).body))
    assert not HEAVY.intersection(at_start)
    for other in imported(path):
        if module_of(path) != "__main__":
            assert other not in SIDE_DOOR


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_has_at_most_three_hundred_lines(path: Path) -> None:
    if module_of(path) not in ("_statements", "migrations", *MAY_BE_LONGER):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_AT_MOST
