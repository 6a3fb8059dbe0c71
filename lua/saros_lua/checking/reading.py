"""The names in Lua code: globals, modules and their fields, calls by literal ids.

They are found by reading, not by running, so only certain facts count: a variable that is assigned twice is not
a module, and a value that the code tests before use may be missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

import tree_sitter
import tree_sitter_lua

Path = tuple[str, ...]
"""A global or a module, then its fields: ``("funcs", "call")``."""

_SILENT: Final = frozenset({"goto_statement", "label_statement", "attribute", "comment", "string", "number"})
_TESTS: Final = frozenset({"and", "or", "==", "~=", "not"})
_SCOPES: Final = frozenset({"block", "do_statement", "while_statement", "if_statement", "else_statement"})


class Use(NamedTuple):
    """One place in the code. `called` and `indexed` tell how it uses the value; both fail for nil."""

    path: Path
    line: int
    called: bool
    indexed: bool
    tested: bool  # whether the code tests it for nil there
    text: str | None = None  # the first argument of a call, if that is a literal string
    required: bool = False  # the path begins with a module that ``require`` returned, not with a global


class Code(NamedTuple):
    uses: list[Use]
    assigned: set[str]  # globals that the code assigns
    own_fields: set[Path]  # fields that it assigns to modules and globals
    opaque: bool  # it uses its globals as a table, so nothing is certain about them


class _Variable:
    """A local variable and its value, if that is certain."""

    def __init__(self, path: Path | None = None, required: bool = False) -> None:
        self.path = path
        self.required = required
        self.changed = False


_Scopes = list[dict[str, _Variable]]


@cache
def _parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_lua.language()))


def read(source: bytes) -> Code | None:
    """Return the names that a source mentions; None when it cannot be read."""
    source = source.removeprefix(b"\xef\xbb\xbf")
    tree = _parser().parse(b"--" + source if source.startswith(b"#") else source)
    return None if tree.root_node.has_error else _Reader(tree.root_node).code()


class _Reader:
    def __init__(self, root: tree_sitter.Node) -> None:
        self._scopes: _Scopes = [{}]
        self._found: list[tuple[_Variable | None, Use]] = []
        self._assigned: set[str] = set()
        self._own_fields: set[Path] = set()
        self._opaque = False
        self._visit(root)

    def code(self) -> Code:
        uses = [use for variable, use in self._found if variable is None or not variable.changed]
        return Code(uses, self._assigned, self._own_fields, self._opaque)

    # --- names --------------------------------------------------------------------------------

    def _local(self, name: str) -> _Variable | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return None

    def _declare(self, name: str, variable: _Variable | None = None) -> None:
        self._scopes[-1][name] = variable or _Variable()

    def _resolve(self, node: tree_sitter.Node) -> tuple[_Variable | None, Path, bool] | None:
        """Return the local variable (if any), the path, and whether a module begins it; None if unknown."""
        if node.type == "identifier":
            name = _text(node)
            variable = self._local(name)
            if variable is None:
                return None, (name,), False
            return None if variable.path is None else (variable, variable.path, variable.required)
        if node.type in ("dot_index_expression", "method_index_expression"):
            table, field = node.child_by_field_name("table"), node.child_by_field_name("field")
            field = field or node.child_by_field_name("method")
            found = self._resolve(table) if table is not None else None
            if found is None or field is None:
                return None
            return found[0], (*found[1], _text(field)), found[2]
        module = self._required(node)
        return None if module is None else (None, (module,), True)

    def _required(self, node: tree_sitter.Node) -> str | None:
        """Return the module of ``require("name")``."""
        if node.type != "function_call":
            return None
        name = node.child_by_field_name("name")
        if name is None or _text(name) != "require" or self._local("require") is not None:
            return None
        return _literal(node)

    # --- the tree -----------------------------------------------------------------------------

    def _visit(self, node: tree_sitter.Node) -> None:
        if node.type in _SILENT:
            return
        special = getattr(self, f"_{node.type}", None)
        if special is not None:
            special(node)
        elif node.type in _SCOPES:
            self._inside(node)
        else:
            self._children(node)

    def _children(self, node: tree_sitter.Node) -> None:
        for child in node.named_children:
            self._visit(child)

    def _inside(self, node: tree_sitter.Node) -> None:
        self._scopes.append({})
        self._children(node)
        self._scopes.pop()

    def _repeat_statement(self, node: tree_sitter.Node) -> None:
        self._scopes.append({})
        for child in node.named_children:  # the condition sees the locals of the body
            (self._children if child.type == "block" else self._visit)(child)
        self._scopes.pop()

    def _identifier(self, node: tree_sitter.Node) -> None:
        if _text(node) in ("_ENV", "_G"):
            self._opaque = True
        self._note(node)

    def _dot_index_expression(self, node: tree_sitter.Node) -> None:
        self._note(node)
        table = node.child_by_field_name("table")
        if table is not None:
            self._visit(table)

    _method_index_expression = _dot_index_expression

    def _note(self, node: tree_sitter.Node) -> None:
        found = self._resolve(node)
        if found is None:
            return
        variable, path, required = found
        parent = node.parent
        called = parent is not None and parent.type == "function_call" and _is(parent, "name", node)
        indexed = (
            parent is not None and parent.type.endswith("index_expression") and _is(parent, "table", node)
        )
        text = _literal(parent) if called and parent is not None else None
        use = Use(path, node.start_point[0] + 1, called, indexed, _tested(node), text, required)
        self._found.append((variable, use))

    def _field(self, node: tree_sitter.Node) -> None:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is not None and node.children[0].type == "[":
            self._visit(name)
        if value is not None:
            self._visit(value)

    def _variable_declaration(self, node: tree_sitter.Node) -> None:
        statement = node.named_children[0]
        names = statement if statement.type == "variable_list" else _of_type(statement, "variable_list")
        values = _of_type(statement, "expression_list")
        given = [] if values is None else values.named_children
        known = [self._resolve(value) for value in given]
        for value in given:
            self._visit(value)
        for index, name in enumerate(_names(names)):
            found = known[index] if index < len(known) else None
            variable = _Variable()
            if (
                found is not None
                and (found[0] is None or not found[0].changed)
                and (found[2] or len(found[1]) > 1)
            ):
                variable = _Variable(found[1], found[2])
            self._declare(_text(name), variable)

    def _assignment_statement(self, node: tree_sitter.Node) -> None:
        for child in node.named_children:
            if child.type != "variable_list":
                self._visit(child)
        for target in _names(_of_type(node, "variable_list")):
            self._assign(target)

    def _assign(self, target: tree_sitter.Node) -> None:
        if target.type == "identifier":
            variable = self._local(_text(target))
            if variable is None:
                self._assigned.add(_text(target))
            else:
                variable.changed = True
            return
        found = self._resolve(target)
        if found is not None:
            self._own_fields.add(found[1])
        for child in target.named_children:
            if not _is(target, "field", child) and not _is(target, "method", child):
                self._visit(child)

    def _function_declaration(self, node: tree_sitter.Node) -> None:
        name = node.child_by_field_name("name")
        assert name is not None
        if node.children[0].type == "local":
            self._declare(_text(name))
        else:
            self._assign(name)
        self._function(node, method=name.type == "method_index_expression")

    def _function_definition(self, node: tree_sitter.Node) -> None:
        self._function(node, method=False)

    def _function(self, node: tree_sitter.Node, *, method: bool) -> None:
        self._scopes.append({"self": _Variable()} if method else {})
        for parameter in _names(node.child_by_field_name("parameters")):
            self._declare(_text(parameter))
        body = node.child_by_field_name("body")
        if body is not None:
            self._visit(body)
        self._scopes.pop()

    def _for_statement(self, node: tree_sitter.Node) -> None:
        clause, body = node.child_by_field_name("clause"), node.child_by_field_name("body")
        assert clause is not None
        names = [clause.child_by_field_name("name")]
        if clause.type == "for_generic_clause":
            names = list(_names(_of_type(clause, "variable_list")))
        for child in clause.named_children:
            if child.type != "variable_list" and child not in names:
                self._visit(child)
        self._scopes.append({_text(name): _Variable() for name in names if name is not None})
        if body is not None:
            self._visit(body)
        self._scopes.pop()


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode(errors="replace")


def _is(parent: tree_sitter.Node, field: str, node: tree_sitter.Node) -> bool:
    return parent.child_by_field_name(field) == node


def _of_type(node: tree_sitter.Node, kind: str) -> tree_sitter.Node | None:
    return next((child for child in node.named_children if child.type == kind), None)


def _names(node: tree_sitter.Node | None) -> Iterator[tree_sitter.Node]:
    for child in [] if node is None else node.named_children:
        if child.type not in ("attribute", "vararg_expression", "comment"):
            yield child


def _literal(call: tree_sitter.Node) -> str | None:
    """Return the first argument of a call, if it is a plain string."""
    arguments = call.child_by_field_name("arguments")
    first = arguments.named_children[0] if arguments is not None and arguments.named_children else None
    content = first.child_by_field_name("content") if first is not None and first.type == "string" else None
    text = None if content is None else _text(content)
    return None if text is None or "\\" in text else text


def _tested(node: tree_sitter.Node) -> bool:
    """Return whether the code tests the value, as in ``if json then``, ``x == nil`` or ``type(x)``."""
    parent = node.parent
    while parent is not None and parent.type == "parenthesized_expression":
        node, parent = parent, parent.parent
    if parent is None:
        return False
    if parent.type in ("binary_expression", "unary_expression"):
        return any(child.type in _TESTS for child in parent.children)
    if parent.type == "arguments":
        call = parent.parent
        name = call.child_by_field_name("name") if call is not None else None
        return name is not None and _text(name) in ("type", "rawget", "assert", "tostring", "pcall", "xpcall")
    return _is(parent, "condition", node)
