"""Puts mutants behind conditions, so that one build has all of them and a test run chooses one.

tree-sitter finds the expression, the arm or the function that a mutant of cargo-mutants changes. Some mutants cannot be behind a
condition: those in a macro, and, as the compiler says, those in a `const fn` or with a result of another type.
"""

from collections import defaultdict

import tree_sitter_rust
from tree_sitter import Language, Parser

PARSER = Parser(Language(tree_sitter_rust.language()))


class Source:
    """A file, and the conditions that are put into it."""

    def __init__(self, text, condition):
        """`condition` writes the condition that a mutant is active, from its number."""
        self.text = text.encode()
        self.condition = condition
        self.tree = PARSER.parse(self.text).root_node
        # The offset of each line, in bytes.
        self.lines = [0] + [offset + 1 for offset, byte in enumerate(self.text) if byte == ord("\n")]
        # What is inserted at an offset, and what is evaluated instead of a range: each a condition and a function of `render`.
        self.inserted = defaultdict(str)
        self.instead = defaultdict(list)

    def offset(self, place):
        """cargo-mutants counts lines and characters from 1."""
        begins = self.lines[place["line"] - 1]
        return begins + len(self.text[begins:].decode()[: place["column"] - 1].encode())

    def node(self, start, end, *kinds):
        """The smallest node of one of these kinds around a range. `None` in a macro, whose content is not parsed."""
        node = self.tree.descendant_for_byte_range(start, end)
        while node and node.type not in kinds:
            node = None if node.type == "token_tree" else node.parent
        return node

    def add(self, number, mutant):
        """Puts a mutant behind a condition. Returns whether it can be."""
        start, end = (self.offset(mutant["span"][side]) for side in ("start", "end"))
        is_active, replacement = self.condition(number), mutant["replacement"]
        match mutant["genre"]:
            case "FnValue" if function := self.node(start, end, "function_item"):
                body = function.child_by_field_name("body").start_byte + 1
                self.inserted[body] += f" if {is_active} {{ return {replacement}; }} "
            case "BinaryOperator" if node := self.node(start, end, "binary_expression", "compound_assignment_expr"):
                left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
                self.replace(node, is_active, lambda: f"{self.render_node(left)} {replacement} {self.render_node(right)}")
            case "UnaryOperator" if node := self.node(start, end, "unary_expression"):
                self.replace(node, is_active, lambda: self.render_node(node.children[-1]))
            case "StructField" if node := self.node(start, end, "struct_expression"):
                self.replace(node, is_active, lambda: self.render(node.start_byte, start) + self.render(end, node.end_byte))
            case "MatchArm" if arm := self.node(start, end, "match_arm"):
                pattern = arm.child_by_field_name("pattern")
                if guard := pattern.child_by_field_name("condition"):
                    self.replace(guard, is_active, lambda: "false")
                else:
                    self.inserted[pattern.end_byte] += f" if !{is_active}"
            case "MatchArmGuard" if self.node(start, end, "match_arm"):
                guard = self.tree.descendant_for_byte_range(start, end)
                self.replace(guard, is_active, lambda: replacement)
            case _:
                return False
        return True

    def replace(self, node, is_active, alternative):
        self.instead[node.start_byte, node.end_byte].append((is_active, alternative))

    def render_node(self, node):
        return self.render(node.start_byte, node.end_byte)

    def render(self, start, end, is_chosen=False):
        """The text of a range, with the conditions inside of it. `is_chosen`: the condition of the whole range is written already."""
        changes = [(begins, begins, None) for begins in self.inserted if start <= begins <= end]
        changes += [
            (begins, ends, alternatives)
            for (begins, ends), alternatives in self.instead.items()
            if start <= begins and ends <= end and not (is_chosen and (begins, ends) == (start, end))
        ]
        parts, position = [], start
        # The outermost first: what is inside of it is rendered with it.
        for begins, ends, alternatives in sorted(changes, key=lambda change: (change[0], -change[1])):
            if begins < position:
                continue
            parts.append(self.text[position:begins].decode())
            parts.append(self.choice(begins, ends, alternatives) if alternatives else self.inserted[begins])
            position = ends
        return "".join([*parts, self.text[position:end].decode()])

    def choice(self, start, end, alternatives):
        branches = [f"if {is_active} {{ {alternative()} }} else " for is_active, alternative in alternatives]
        return f"({''.join(branches)}{{ {self.render(start, end, is_chosen=True)} }})"


def write(text, mutants, condition):
    """The text of a file with these mutants (by number) behind conditions, and the numbers of those that can be."""
    source = Source(text, condition)
    switched = {number for number, mutant in mutants.items() if source.add(number, mutant)}
    return source.render(0, len(source.text)), switched
