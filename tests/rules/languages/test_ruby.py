"""Ruby: required features, gems as units, bundles and the standard library, and what must not follow."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.closure import close
from debloat.rules.languages.ruby import rules as ruby
from debloat.rules.languages.ruby import source
from tests.support import chroots, trees
from tests.support.debs import deb_world
from tests.support.trees import Table

LIB = "/usr/lib/ruby/3.1.0"
GEMS = "/var/lib/gems/3.1.0"


def _spec(*depends: str, development: str = "") -> str:
    lines = [f"  s.add_runtime_dependency(%q<{d}>.freeze, [])\n" for d in depends]
    lines += [f"  s.add_development_dependency(%q<{development}>.freeze, [])\n"] if development else []
    return 's.require_paths = ["lib".freeze]\n' + "".join(lines)


IMAGE: Table = {
    "/usr/bin/ruby3.1": ("0755", "\x7fELF"),
    f"{LIB}/set.rb": "require 'rdoc'",
    f"{LIB}/json.rb": "",
    f"{LIB}/json/ext.rb": "",
    f"{LIB}/rdoc.rb": "",
    f"{LIB}/rdoc/parser.rb": "",
    f"{LIB}/rubygems.rb": "",
    f"{LIB}/rubygems/core.rb": "require 'rdoc'; gem 'web'",
    f"{GEMS}/specifications/web-1.0.gemspec": _spec("base", development="lint"),
    f"{GEMS}/gems/web-1.0/lib/web.rb": "",
    f"{GEMS}/gems/web-1.0/views/page.erb": "",
    f"{GEMS}/gems/web-1.0/test/test_web.rb": "",
    f"{GEMS}/gems/web-1.0/ext/web.c": "",
    f"{GEMS}/extensions/x86_64-linux/3.1.0/web-1.0/web/native.so": "",
    f"{GEMS}/specifications/base-2.0.gemspec": _spec(),
    f"{GEMS}/gems/base-2.0/lib/base.rb": "",
    f"{GEMS}/specifications/lint-3.0.gemspec": _spec(),
    f"{GEMS}/gems/lint-3.0/lib/lint.rb": "",
    f"{GEMS}/specifications/plug-1.0.gemspec": _spec(),
    f"{GEMS}/gems/plug-1.0/lib/rack/handler/plug.rb": "",
    "/app/lib/own.rb": "require_relative 'other'",
    "/app/lib/other.rb": "",
}
BASE = [f"{GEMS}/gems/base-2.0/lib/base.rb", f"{GEMS}/specifications/base-2.0.gemspec"]
WEB = [
    f"{GEMS}/extensions/x86_64-linux/3.1.0/web-1.0/web/native.so",
    BASE[0],
    f"{GEMS}/gems/web-1.0/lib/web.rb",
    f"{GEMS}/gems/web-1.0/views/page.erb",
    BASE[1],
    f"{GEMS}/specifications/web-1.0.gemspec",
]
PLUG = [f"{GEMS}/gems/plug-1.0/lib/rack/handler/plug.rb", f"{GEMS}/specifications/plug-1.0.gemspec"]


def _kept(path: str, text: str, **config: object) -> list[str]:
    world = trees.world({**IMAGE, path: ("0755", text)}, config={"WorkingDir": "/app", **config})
    return [p for p in trees.paths(trees.closed(world, ruby.RULES, path)) if p != path]


OTHER = "/app/lib/other.rb"
OWN = [OTHER, "/app/lib/own.rb"]

CASES = [
    ("the standard library", "require 'json'", [f"{LIB}/json.rb"]),
    ("a compiled part by its suffix", 'require "json/ext.rb"', [f"{LIB}/json/ext.rb"]),
    ("autoload", "autoload :Ext, 'json/ext'", [f"{LIB}/json/ext.rb"]),
    ("a gem, whole, and what it depends on", "require 'web'", WEB),
    ("a gem by its extension", "require 'web/native'", WEB),
    ("gem", "gem 'base', '~> 2'", BASE),
    ("a binary's stub", 'load Gem.activate_bin_path("base", "base", version)', BASE),
    ("relative", "require_relative 'lib/own'", ["/app/lib/other.rb", "/app/lib/own.rb"]),
    ("expanded", "require File.expand_path('../lib/other', __FILE__)", ["/app/lib/other.rb"]),
    ("joined", 'require File.join(__dir__, "lib/other")', ["/app/lib/other.rb"]),
    ("joined from the file's directory", "load File.join(File.dirname(__FILE__), 'lib', 'other.rb')", [OTHER]),
    ("expanded from the directory", 'require File.expand_path("lib/other", __dir__)', [OTHER]),
    ("expanded from what is joined", "require File.expand_path(File.join('..', 'lib/other'), __FILE__)", [OTHER]),
    ("expanded from two levels up", "require File.expand_path('../../app/lib/other', __FILE__)", [OTHER]),
    ("__dir__ within a text", 'require "#{__dir__}/lib/other"', [OTHER]),
    ("__dir__ and a text", "require __dir__ + '/lib/other'", [OTHER]),
    ("a path object", "require Pathname.new(__FILE__).dirname.join('lib', 'other').to_s", [OTHER]),
    ("a path object divided", "require (Pathname(__dir__) / 'lib/other').expand_path", [OTHER]),
    ("a directory in a constant", "ROOT = File.expand_path('..', __FILE__)\nrequire \"#{ROOT}/lib/other\"", [OTHER]),
    ("a path object in a constant", "ROOT = Pathname.new(__dir__)\nrequire ROOT.join('lib').join('other')", [OTHER]),
    ("a variable", "name = 'json'; require name", [f"{LIB}/json.rb"]),
    ("one or another", "require(x ? 'json' : 'json/ext')", [f"{LIB}/json.rb", f"{LIB}/json/ext.rb"]),
    ("a loop over words", "%w[json json/ext].each { |f| require f }", [f"{LIB}/json.rb", f"{LIB}/json/ext.rb"]),
    ("a loop over texts", "['json'].sort.each do |f|\n require f\nend", [f"{LIB}/json.rb"]),
    ("a loop over a constant", 'PARTS = %w(own other).freeze\nPARTS.each { |f| require_relative "lib/#{f}" }', OWN),
    ("a loop over a method", "%w[json].each(&method(:require))", [f"{LIB}/json.rb"]),
    ("a loop over pairs", "{ A: 'json/ext' }.each { |name, path| autoload name, path }", [f"{LIB}/json/ext.rb"]),
    ("for", "for f in ['json'] do require f end", [f"{LIB}/json.rb"]),
    ("Kernel's own", "Kernel.require 'json'; ::Kernel.load 'json/ext.rb'", [f"{LIB}/json.rb", f"{LIB}/json/ext.rb"]),
    ("sent", "Kernel.send(:require, 'json')", [f"{LIB}/json.rb"]),
    ("over lines", "require(\n  # the format\n  'json'\n)", [f"{LIB}/json.rb"]),
    ("other quotation marks", "require %q(json); require %(json/ext)", [f"{LIB}/json.rb", f"{LIB}/json/ext.rb"]),
    ("made up by addition", 'require "rack/handler/" + name', PLUG),
    ("within code in a text", "x = <<~T\n  #{require 'json'}\nT", [f"{LIB}/json.rb"]),
    ("in lib", "require 'other'", ["/app/lib/other.rb"]),
    ("by made-up names", 'require "rack/handler/#{name}"', PLUG),
    ("a tool, with its parts", "require 'rdoc'", [f"{LIB}/rdoc.rb", f"{LIB}/rdoc/parser.rb"]),
    ("a comment", "# require 'json'", []),
    ("a comment of many lines", "=begin\nrequire 'json'\n=end\n", []),
    ("a here-document", "puts <<~T\n  require 'json'\nT", []),
    ("in a text", "puts \"require 'json'\"; puts %q(require 'json')", []),
    ("a loop's variable elsewhere", "%w[json].each { |f| puts f }\nrequire f", []),
    ("a parameter", "f = 'json'\ndef x(f)\n  require f\nend", []),
    ("a variable of itself", "f = f + 'json'; require f", []),
    ("after the end", "x\n__END__\nrequire 'json'", []),
    ("a method and a variable", "x.require 'json'; require name; @require 'json'", []),
]


@pytest.mark.parametrize(("text", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_required(text: str, expected: list[str]) -> None:
    assert _kept("/app/main.rb", text) == expected


def test_a_template_has_code_between_its_marks() -> None:
    text = "<p>require 'web'</p>\n<%# require 'web' %><% require 'json' -%>\n"
    text += "<%= %w[json/ext].each do |f| %>\n<% require f; end %>"
    assert _kept("/app/page.erb", text) == [f"{LIB}/json.rb", f"{LIB}/json/ext.rb"]


def test_what_the_grammar_cannot_read_is_read_by_lines() -> None:
    text = "def x(\n)))) =\nrequire 'json'\n  require_relative \"lib/own\"\n"
    assert _kept("/app/main.rb", text) == [*OWN, f"{LIB}/json.rb"]


def test_only_ruby_files_are_read() -> None:
    assert _kept("/app/run", "#!/bin/sh\nrequire 'json'") == []
    assert _kept("/app/run", "#!/usr/bin/env ruby\nrequire 'json'") == [f"{LIB}/json.rb"]


def test_the_interpreter_keeps_the_standard_library_without_tools() -> None:
    kept = trees.paths(trees.closed(trees.world(IMAGE), ruby.RULES, "/usr/bin/ruby3.1"))
    names = ["json.rb", "json/ext.rb", "rubygems.rb", "rubygems/core.rb", "set.rb"]
    assert kept == ["/usr/bin/ruby3.1", *(f"{LIB}/{name}" for name in names)]


def test_rubyopt() -> None:
    world = trees.world(IMAGE, config={"Env": ["RUBYOPT=-W0 -rjson"]})
    assert trees.paths(close(world, ruby.RULES)) == [f"{LIB}/json.rb"]


def test_a_debian_package_is_a_unit() -> None:
    vendor = "/usr/lib/ruby/vendor_ruby"
    spec = "/usr/share/rubygems-integration/all/specifications/tilt-2.0.gemspec"
    files = [f"{vendor}/tilt.rb", f"{vendor}/tilt/erb.rb", spec]
    owned = {
        "ruby-tilt": [*files, "/usr/bin/tilt"],
        "ruby-rubygems": [f"{vendor}/rubygems.rb", f"{vendor}/gauntlet.rb"],
    }
    table: Table = dict.fromkeys([p for paths in owned.values() for p in paths], "")
    world = trees.world(table, owned=owned)
    assert trees.paths(trees.closed(world, ruby.RULES, files[1])) == sorted(files)
    assert trees.paths(trees.closed(world, ruby.RULES, f"{vendor}/gauntlet.rb")) == [f"{vendor}/gauntlet.rb"]


def test_programs_of_a_unit() -> None:
    """`rake db:migrate`, `rails console` and `pumactl` administer the application whose gems they come with."""
    vendor, stub = (
        "/usr/lib/ruby/vendor_ruby",
        "require 'rubygems'\nload Gem.activate_bin_path('web', 'webctl', version)",
    )
    table: Table = {
        f"{vendor}/tilt.rb": "",
        "/usr/bin/tilt": ("0755", "#!/usr/bin/ruby\n"),
        "/usr/bin/tilt-sh": ("0755", "#!/bin/sh\n"),
        "/usr/local/bin/webctl": ("0755", f"#!/usr/bin/env ruby\n{stub}"),
        "/usr/local/bin/idlectl": ("0755", f"#!/usr/bin/env ruby\n{stub.replace('web', 'idle')}"),
    }
    world = trees.world({**IMAGE, **table}, owned={"ruby-tilt": [p for p in table if "local" not in p]})
    assert trees.paths(trees.closed(world, ruby.RULES, f"{vendor}/tilt.rb")) == ["/usr/bin/tilt", f"{vendor}/tilt.rb"]
    assert "/usr/local/bin/webctl" in trees.closed(world, ruby.RULES, WEB[2])
    assert "/usr/local/bin/idlectl" not in trees.closed(world, ruby.RULES, WEB[2])


def test_a_program_of_the_standard_library_by_its_stub() -> None:
    """`/usr/bin/irb` finds a gem that has its specification and this program alone (Gem.activate_bin_path)."""
    program = f"{GEMS}/gems/irb-1.4/exe/irb"
    table: Table = {
        "/usr/bin/irb": ("0755", "#!/usr/bin/ruby\nload Gem.activate_bin_path('irb', 'irb', version)"),
        f"{GEMS}/specifications/default/irb-1.4.gemspec": "",
        program: ("0755", "#!/usr/bin/env ruby\nrequire 'irb'"),
        f"{GEMS}/gems/irb-1.4/exe/other": ("0755", "#!/usr/bin/env ruby\n"),
        f"{LIB}/irb.rb": "",
        f"{LIB}/irb/context.rb": "",
    }
    kept = trees.closed(trees.world({**IMAGE, **table}), ruby.RULES, "/usr/bin/irb")
    assert {program, f"{LIB}/irb.rb", f"{LIB}/irb/context.rb"} <= kept.evidence.keys()
    assert f"{GEMS}/gems/irb-1.4/exe/other" not in kept


def test_a_tool_brings_what_it_requires_when_it_is_loaded() -> None:
    table: Table = {
        f"{LIB}/irb.rb": "require 'rdoc'\ndef x\n  require 'debug'\nend",
        f"{LIB}/rdoc.rb": "",
        f"{LIB}/debug.rb": "",
    }
    world = trees.world({**IMAGE, **table})
    kept = trees.closed(world, ruby.RULES, f"{LIB}/irb.rb")
    assert f"{LIB}/rdoc.rb" in kept
    assert f"{LIB}/debug.rb" not in kept


def test_what_is_in_a_gem_for_its_developers_keeps_and_is_nothing() -> None:
    gem, extension = f"{GEMS}/gems/web-1.0", f"{GEMS}/extensions/x86_64-linux/3.1.0/web-1.0"
    idle = [f"{gem}/Gemfile", f"{gem}/Rakefile", f"{gem}/sig/web.rbs", f"{gem}/CHANGELOG.md"]
    marks = [f"{extension}/gem.build_complete", f"{extension}/gem_make.out"]
    world = trees.world({**IMAGE, **dict.fromkeys([*idle, *marks], "gem 'plug'")})
    assert trees.paths(trees.closed(world, ruby.RULES, WEB[2])) == sorted([*WEB, marks[0]])
    # RubyGems looks at the mark of every gem when it starts (Gem::BasicSpecification#missing_extensions?).
    for path in (*idle, *marks):
        assert trees.paths(trees.closed(world, ruby.RULES, path)) == sorted([path, WEB[-1]])


def test_headers_and_sources_in_a_debian_package_of_a_gem() -> None:
    top = "/usr/share/rubygems-integration/all"
    code, spec = "/usr/lib/ruby/vendor_ruby/tilt.rb", f"{top}/specifications/tilt-2.0.gemspec"
    idle = ["/usr/include/ruby-3.1.0/vendor_ruby/tilt.h", f"{top}/gems/tilt-2.0/ext/tilt/Tilt.java"]
    files = [code, spec, *idle, f"{top}/gems/tilt-2.0/lib/tilt/data.rb"]
    world = trees.world(dict.fromkeys(files, ""), owned={"ruby-tilt": files})
    assert trees.paths(trees.closed(world, ruby.RULES, code)) == sorted({*files} - {*idle})


LOCK = """GEM
  remote: https://example.org/
  specs:
    base (2.0)
    lint (3.0)
    plug (1.0)
    web (1.0)
      base (~> 2)

PLATFORMS
  ruby

DEPENDENCIES
  web
"""

BUNDLES = [
    ("all without a Gemfile", "", ["base", "lint", "plug", "web"]),
    (
        "groups left out",
        "gem 'web'\ngroup :development, :test do\n  gem 'lint'\nend\ngem 'plug'",
        ["base", "plug", "web"],
    ),
    ("an inline group", "gem 'web'\ngem 'lint', group: :test", ["base", "web"]),
    (
        "inline groups",
        "gem 'web'\ngem 'lint', groups: %i[test development]\ngem 'plug', :group => :test",
        ["base", "web"],
    ),
    (
        "an inline group beside others",
        "gem 'lint', groups: %i[test web]\ngem 'plug', groups: [:test, :default]",
        ["lint", "plug"],
    ),
    ("a condition in a group", "group :test do\n if x then gem 'plug' end\nend\ngem 'base' if y", ["base"]),
    ("a loop", "%w[base plug].each { |name| gem name }", ["base", "plug"]),
    ("a comment", "# gem 'plug'\ngem 'base' # gem 'lint'", ["base"]),
    ("another group", "group :production do\n gem 'plug'\nend", ["plug"]),
    ("a block in a group", "group :test do\n source 'x' do\n gem 'plug'\n end\n gem 'lint'\nend\ngem 'base'", ["base"]),
]


@pytest.mark.parametrize(("gemfile", "expected"), [b[1:] for b in BUNDLES], ids=[b[0] for b in BUNDLES])
def test_bundled(gemfile: str, expected: list[str]) -> None:
    assert [name for name, _ in source.bundled(LOCK, gemfile)] == expected


def test_a_lock_keeps_its_gems() -> None:
    table: Table = {**IMAGE, "/app/Gemfile": "gem 'web'", "/app/Gemfile.lock": LOCK}
    kept = trees.paths(trees.closed(trees.world(table), ruby.RULES, "/app/Gemfile.lock"), "/var")
    assert kept == WEB


PACKAGES = (
    *("ruby3.1", "libruby3.1", "ruby-rubygems", "ruby-sinatra", "ruby-rack", "ruby-mustermann", "ruby-rack-protection"),
    *("ruby-tilt", "ruby-ruby2-keywords", "ruby-webrick", "rubygems-integration", "libc6", "libgmp10", "libssl3"),
    *("zlib1g", "libcrypt1", "libyaml-0-2", "libffi8", "libreadline8", "libtinfo6", "libncurses6", "libgcc-s1"),
)
SCRIPT = r"""
require 'json'; require 'openssl'; require 'net/http'; require 'erb'; require 'yaml'; require 'digest'; require 'csv'
puts JSON.generate(a: Digest::SHA256.hexdigest('x')[0, 4]), ERB.new('<%= 1 + 1 %>').result, ({ 'a' => 1 }).to_yaml
puts "\x82\xA0".dup.force_encoding('Shift_JIS').encode('UTF-8'), "e\u0301".unicode_normalize(:nfc).size
begin; nil.foo; rescue NoMethodError => e; puts e.class; end
puts CSV.parse("a,b\n")[0].inspect, OpenSSL::Digest.new('MD5').hexdigest('')[0, 4]
"""
APP = """
require 'sinatra/base'
class App < Sinatra::Base
  set :environment, :production
  get('/') { erb '<%= 20 + 1 %>' }
end
puts App.call(Rack::MockRequest.env_for('/')).then { |status, _, body| [status, body.to_a] }.inspect
puts App.call(Rack::MockRequest.env_for('/none'))[0]
puts Rack::Handler.get('webrick')
"""


@pytest.mark.network
def test_real_ruby_runs_from_what_is_kept(tmp_path: Path) -> None:
    world = deb_world(*PACKAGES, extra={"/app/script.rb": SCRIPT, "/app/app.rb": APP})
    closure = chroots.kept(world, ruby.RULES, "/usr/bin/ruby3.1", "/app/script.rb", "/app/app.rb")

    def answer(path: str) -> str:
        return chroots.run(world, closure, tmp_path, ["/usr/bin/ruby3.1", path], LANG="C.UTF-8")

    assert answer("/app/script.rb") == ('{"a":"2d71"}\n2\n---\na: 1\nあ\n1\nNoMethodError\n["a", "b"]\nd41d\n')
    assert answer("/app/app.rb") == '[200, ["21"]]\n404\nRack::Handler::WEBrick\n'
    assert not trees.paths(closure, "/usr/lib/ruby/3.1.0/rdoc")
    assert not trees.paths(closure, "/usr/lib/ruby/gems/3.1.0/gems/rbs")


_FRAGMENTS = st.sampled_from(
    [
        *(
            "require ",
            "'json'",
            '"',
            "'",
            "(",
            ")",
            "\n",
            "gem ",
            "autoload :A, ",
            "#{",
            "}",
            "__END__",
            "File.join(",
            "#",
        ),
        *(
            "__dir__",
            ", ",
            "__FILE__",
            "require_relative ",
            "bin_path",
            "../",
            "/",
            "\0",
            " do",
            "end",
            "group :test do\n",
        ),
    ]
)


@given(st.lists(_FRAGMENTS, max_size=60).map("".join) | st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_garbage_is_read_without_error(text: str) -> None:
    for template in (False, True):
        assert isinstance(source.parse(text.encode("utf-8", "replace"), template), source.Facts)
    assert isinstance(source.bundled(text, text), tuple)


@pytest.mark.parametrize(
    "piece", ["require ", "require 'a'\n", "autoload :A", "require File.join(", "gem '", "# require 'x' "]
)
def test_long_input_is_read_in_time(piece: str) -> None:
    assert isinstance(source.parse(piece.encode() * 20000), source.Facts)
