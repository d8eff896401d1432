"""The explorer on the terminal: trees by path, package and layer, a panel that tells of what is chosen, a search.

Importing this module needs the extra `explore` (Textual). Nodes get their children when they are opened, so an image of
half a million names begins as one of few does. All names go through `name`, and labels are `Text`, never markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar, Literal

from msgspec import Struct
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Footer, Header, Input, OptionList, Static, TabbedContent, TabPane, Tree
from textual.widgets.option_list import Option
from textual.widgets.tree import TreeNode

from debloat.anatomy.contents import size_of
from debloat.anatomy.explored import Explored
from debloat.core.model import Entry, Kind
from debloat.core.text import count, name, percent, size
from debloat.report.inspectterminal import instruction

MOST = 2000
"""Names that a node shows; of more it says how many."""
FOUND = 500
"""Paths that a search shows."""

Filter = Literal["all", "kept", "gone"]
_FILTERS: tuple[Filter, ...] = ("all", "kept", "gone")


class Item(Struct, frozen=True):
    """What a node stands for: a `directory`, `file`, `package` (by name), `place`, `layer` (by number) or a `group`."""

    kind: Literal["directory", "file", "package", "place", "layer", "buried", "group", "more"]
    key: str


Node = TreeNode[Item]


class Explorer(App[None]):
    """Looks at an `Explored`; it changes nothing, and asks for nothing that the value does not hold."""

    TITLE = "debloat explore"
    CSS = """
    #trees { width: 3fr; }
    #panel { width: 2fr; border-left: solid $primary; padding: 0 1; }
    #search { display: none; dock: top; }
    #found { display: none; height: 12; dock: bottom; border-top: solid $primary; }
    Tree { padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("slash", "search", "Search", key_display="/"),
        Binding("escape", "leave", "Leave search", show=False),
        Binding("s", "sort", "Sort"),
        Binding("k", "filter", "Kept/gone"),
        Binding("1", "tab('paths')", "Paths"),
        Binding("2", "tab('packages')", "Packages"),
        Binding("3", "tab('layers')", "Layers"),
    ]

    def __init__(self, image: Explored) -> None:
        super().__init__()
        self.image = image
        self.by_name = False
        self.shown: Filter = "all"
        self.sub_title = name(image.title)

    def compose(self) -> ComposeResult:
        yield Header()
        yield Input(placeholder="part of a path, then Enter", id="search")
        with Horizontal():
            with TabbedContent(id="trees"):
                for key, title in (("paths", "Paths"), ("packages", "Packages"), ("layers", "Layers")):
                    with TabPane(title, id=key):
                        yield Tree[Item](Text(""), id=f"{key}-tree")
            with VerticalScroll(id="panel"):
                yield Static(id="detail")
        yield OptionList(id="found")
        yield Footer()

    def on_mount(self) -> None:
        self._plant()
        self._tree("paths").focus()

    # -------------------------------------------------------------------------------------- trees

    def _tree(self, key: str) -> Tree[Item]:
        return self.query_one(f"#{key}-tree", Tree)

    def _plant(self) -> None:
        """Make the trees anew, each with its first level."""
        image = self.image
        roots = (
            ("paths", Item("directory", "/"), self._directory_label("/")),
            ("packages", Item("group", "packages"), Text(count(len(image.contents.packages), "package"))),
            ("layers", Item("group", "layers"), Text(count(len(image.layers.layers), "layer"))),
        )
        for key, item, label in roots:
            tree = self._tree(key)
            tree.reset(label, item)
            self._fill(tree.root)
            tree.root.expand()
        self._show(self._tree("paths").root.data)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[Item]) -> None:
        self._fill(event.node)

    def _fill(self, node: Node) -> None:
        """Give a node its children, if it has none yet."""
        if node.children or node.data is None:
            return
        children = list(self._children(node.data))
        for item, label in children[:MOST]:
            node.add(label, item, allow_expand=item.kind not in ("file", "buried", "more"))
        if len(children) > MOST:
            node.add_leaf(Text(f"... and {len(children) - MOST:,} more", style="dim"), Item("more", ""))

    def on_tree_node_highlighted(self, event: Tree.NodeHighlighted[Item]) -> None:
        seen = self.query_one("#trees", TabbedContent).active
        # A tree that is made anew says so of its old root first, which stands for nothing.
        if event.node.data is not None and event.control.id == f"{seen}-tree":
            self._show(event.node.data)

    def _children(self, item: Item) -> Iterator[tuple[Item, Text]]:
        image = self.image
        if item.kind == "directory":
            yield from self._inside(item.key)
        elif item.key == "packages":
            yield from self._packages()
        elif item.kind == "package":
            yield from self._files(image.entries(image.packages.files(item.key)), whole=True)
        elif item.kind == "place":
            yield from self._inside(item.key)
        elif item.key == "layers":
            for number, layer in enumerate(image.layers.layers):
                words = f"{number + 1}  {size(layer.bytes)}  " if layer.known else f"{number + 1}  ?  "
                yield Item("layer", str(number)), Text(words).append(name(instruction(layer.created_by)), style="dim")
        elif item.kind == "layer":
            number = int(item.key)
            yield from self._files(image.entries(image.in_layer(number)), whole=True)
            for buried in image.layers.buried:
                if buried.layer == number:
                    yield (
                        Item("buried", buried.path),
                        Text(f"{name(buried.path)}  {size(buried.size)}", style="dim strike"),
                    )

    def _packages(self) -> Iterator[tuple[Item, Text]]:
        contents = self.image.contents
        rows = [(Item("package", p.name), p.name, p.files, p.bytes) for p in contents.packages]
        rows += [(Item("place", p.path), p.path, p.files, p.bytes) for p in contents.places]
        rows.sort(key=lambda row: (row[1],) if self.by_name else (-row[3], row[1]))
        for item, title, files, bytes_ in rows:
            label = Text("" if item.kind == "package" else "no package: ", style="dim")
            label.append(name(title), style="bold")
            yield item, label.append(f"  {size(bytes_)}, {count(files, 'file')}", style="not bold dim")

    def _inside(self, directory: str) -> Iterator[tuple[Item, Text]]:
        prefix = "" if directory == "/" else directory
        entries = [e for n in self.image.rootfs.names(directory) if (e := self.image.rootfs.get(f"{prefix}/{n}"))]
        rows = []
        for entry in entries:
            if entry.is_dir:
                branch = self.image.branches[entry.path]
                if self._wanted(branch.kept_files, branch.files):
                    rows.append(
                        (branch.bytes, entry.name, Item("directory", entry.path), self._directory_label(entry.path))
                    )
            elif self._wanted(int(self.image.stays(entry.path)), 1):
                rows.append((entry.size, entry.name, Item("file", entry.path), self._file_label(entry, entry.name)))
        rows.sort(key=lambda row: row[1] if self.by_name else (-row[0], row[1]))
        yield from ((item, label) for _, _, item, label in rows)

    def _files(self, entries: Iterable[Entry], whole: bool) -> Iterator[tuple[Item, Text]]:
        found = [e for e in entries if self._wanted(int(self.image.stays(e.path)), 1)]
        found.sort(key=lambda e: (0 if self.by_name else -e.size, e.path))
        for entry in found:
            yield Item("file", entry.path), self._file_label(entry, entry.path if whole else entry.name)

    def _wanted(self, kept: int, files: int) -> bool:
        """Whether something of which so many of its files stay is shown."""
        return self.shown == "all" or (kept > 0 if self.shown == "kept" else kept < files or not files)

    # -------------------------------------------------------------------------------------- labels

    def _mark(self, kept: int, files: int) -> Text:
        if self.image.kept is None:
            return Text("")
        if kept == 0:
            return Text("○ ", style="dim")
        return Text("● ", style="green") if kept == files else Text("◐ ", style="yellow")

    def _directory_label(self, path: str) -> Text:
        branch = self.image.branches.get(path)
        if branch is None:
            return Text(name(path))
        label = self._mark(branch.kept_files, branch.files).append(name(branch.name), style="bold")
        label.append(f"  {size(branch.bytes)}", style="not bold")
        if self.image.kept is not None and branch.bytes:
            label.append(f", {percent(branch.kept_bytes, branch.bytes)} stays", style="not bold dim")
        return label

    def _file_label(self, entry: Entry, title: str) -> Text:
        label = self._mark(int(self.image.stays(entry.path)), 1).append(name(title), style="not dim")
        if entry.kind is Kind.SYMLINK:
            return label.append(f" -> {name(entry.target)}", style="dim")
        return label.append(f"  {size(entry.size)}", style="dim")

    # -------------------------------------------------------------------------------------- the panel

    def _show(self, item: Item | None) -> None:
        self.query_one("#detail", Static).update(Text("\n").join(self.detail(item)))

    def detail(self, item: Item | None) -> Iterator[Text]:
        """What is told of an item, a line each."""
        image = self.image
        if item is None or item.kind in ("group", "more"):
            yield Text(name(image.title), style="bold")
            yield Text(name(image.note), style="dim")
        elif item.kind in ("directory", "file", "place"):
            yield from self._path_detail(item.key)
        elif item.kind == "package":
            yield from self._package_detail(item.key)
        elif item.kind == "layer":
            layer = image.layers.layers[int(item.key)]
            yield Text(f"layer {int(item.key) + 1}", style="bold")
            yield Text(name(layer.created_by))
            yield Text(
                f"{size(layer.bytes)} in {count(layer.files, 'file')}: {layer.added:,} new, {layer.replaced:,} replaced"
            )
            yield Text(f"removes {count(layer.removed, 'file')} of layers below, hides {size(layer.hides)} of them")
            yield Text(f"{size(layer.hidden)} of its own are hidden by a later layer")
        elif item.kind == "buried":
            yield Text(name(item.key), style="bold")
            yield Text("a later layer hides it: it is shipped, and cannot be seen")

    def _path_detail(self, path: str) -> Iterator[Text]:
        image = self.image
        entry = image.rootfs.get(path)
        yield Text(name(path), style="bold")
        if entry is None:
            return
        yield Text(f"{entry.kind.name.lower()}, mode {entry.mode:04o}, owner {entry.uid}:{entry.gid}", style="dim")
        if entry.is_dir:
            branch = image.branches[path]
            yield Text(f"{size(branch.bytes)} in {count(branch.files, 'file')}")
            if image.kept is not None:
                yield Text(f"{size(branch.kept_bytes)} in {count(branch.kept_files, 'file')} stay")
        elif entry.is_file:
            yield Text(size(entry.size))
        elif entry.is_symlink:
            yield Text(f"-> {name(entry.target)}")
        if not entry.is_dir:
            owners = ", ".join(map(name, image.packages.owners(path)))
            yield Text(f"package {owners}" if owners else "of no package")
        if (layer := image.layers.of.get(path, -1)) >= 0:
            yield Text(f"layer {layer + 1}: {name(instruction(image.layers.layers[layer].created_by))}", style="dim")
        if image.kept is not None:
            yield Text("")
            yield from self._chain(path)

    def _chain(self, path: str) -> Iterator[Text]:
        """For what a path stays, step by step; or that it is gone."""
        if not self.image.stays(path):
            yield Text("gone: no probe touched it, and no rule reaches it", style="yellow")
            return
        yield Text("stays", style="bold green")
        chain = self.image.closure.why(path)
        for at, evidence in chain:
            if at != path:
                yield Text(f"  {name(at)}")
            text = Text("    by ").append(name(evidence.rule), style="cyan")
            yield text.append(f": {name(evidence.detail)}" if evidence.detail else "")
        if chain:
            yield Text(f"  for {name(chain[-1][1].source)}", style="bold")
        elif self.image.note:
            yield Text(f"  {name(self.image.note)}", style="dim")

    def _package_detail(self, key: str) -> Iterator[Text]:
        image = self.image
        package = image.packages.get(key)
        yield Text(name(key), style="bold")
        if package is None:
            return
        yield Text(f"version {name(package.version)}, source {name(package.source)}", style="dim")
        entries = list(image.entries(image.packages.files(key)))
        kept = [e for e in entries if image.stays(e.path)]
        yield Text(f"{size(size_of(entries))} in {count(len(entries), 'file')}")
        if image.kept is not None:
            yield Text(f"{size(size_of(kept))} in {count(len(kept), 'file')} stay")
        if package.depends:
            yield Text("")
            yield Text("depends on " + ", ".join(name(" | ".join(each)) for each in package.depends), style="dim")

    # -------------------------------------------------------------------------------------- keys

    def action_tab(self, key: str) -> None:
        self.query_one("#trees", TabbedContent).active = key
        self._tree(key).focus()

    def action_sort(self) -> None:
        """By size, or by name."""
        self.by_name = not self.by_name
        self.notify(f"sorted by {'name' if self.by_name else 'size'}")
        self._plant()

    def action_filter(self) -> None:
        """All, what stays, what is gone."""
        if self.image.kept is None:
            self.notify("nothing to compare with", severity="warning")
            return
        self.shown = _FILTERS[(_FILTERS.index(self.shown) + 1) % len(_FILTERS)]
        self.notify(f"shown: {self.shown}")
        self._plant()

    def action_search(self) -> None:
        search = self.query_one("#search", Input)
        search.display = True
        self.screen.set_focus(search)  # at once: what is typed next is for it

    def action_leave(self) -> None:
        for widget in ("#search", "#found"):
            self.query_one(widget).display = False
        self._tree(self.query_one("#trees", TabbedContent).active).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not event.value:
            return
        found = self.image.search(event.value, FOUND)
        options = self.query_one("#found", OptionList)
        options.clear_options()
        options.add_options(Option(Text(name(path)), id=str(number)) for number, path in enumerate(found))
        self._found = found
        if not found:
            self.notify(f"no path has {name(event.value)!r} in it", severity="warning")
            return
        options.display = True
        options.highlighted = 0
        self.screen.set_focus(options)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._show(Item("file", self._found[event.option_index]))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        path = self._found[event.option_index]
        self.action_leave()
        self.shown = "all"
        self._open(path)

    def _open(self, path: str) -> None:
        """Go to a path in the tree of paths, and open what is above it."""
        self.query_one("#trees", TabbedContent).active = "paths"
        tree = self._tree("paths")
        node: Node = tree.root
        way = path.strip("/").split("/")
        for end in range(1, len(way) + 1):
            node.expand()
            self._fill(node)
            wanted = "/" + "/".join(way[:end])
            node = next((child for child in node.children if child.data and child.data.key == wanted), node)
        tree.focus()
        self.call_after_refresh(tree.move_cursor, node)
        self._show(node.data)
