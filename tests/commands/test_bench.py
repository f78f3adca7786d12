"""gpubp bench: its list, the scripts it runs, the place of the results, and the error for an unknown name."""

import json
from pathlib import Path

import pytest

from gpubp.cli import main
from gpubp.commands import bench

SCRIPT = '"""A little script."""\nimport sys\nprint(sys.argv[1:])\nsys.exit({})\n'


@pytest.fixture
def little(tmp_path, monkeypatch):
    """A folder of two scripts, one of which fails, and of a file that is none."""
    for name, code in (("good", 0), ("bad", 3)):
        (tmp_path / f"{name}.py").write_text(SCRIPT.format(code))
    (tmp_path / "report.py").write_text('"""Nothing to run."""\n')
    monkeypatch.setattr(bench, "folder", lambda: tmp_path)
    monkeypatch.setattr(bench, "BENCHMARKS", ("bad", "good"))
    monkeypatch.chdir(tmp_path)


def test_the_list(capsys):
    assert main(["bench"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:lines.index("")]] == list(bench.scripts())
    assert {"finite_difference", "kernels", "peers", "scaling", "size"} <= set(bench.scripts())
    assert not {"report", "alternate", "timing"} & set(bench.scripts())


def test_the_list_has_every_script_with_the_common_options():
    common = [path.stem for path in sorted(bench.folder().glob("*.py")) if "report.parser(__doc__" in path.read_text()]
    assert list(bench.BENCHMARKS) == common


def test_every_script_has_a_word_about_itself(capsys):
    main(["bench"])
    for line in capsys.readouterr().out.splitlines()[:len(bench.scripts())]:
        assert line.split(maxsplit=1)[1].endswith(".")


@pytest.mark.parametrize("words, hint", [(["godo"], "did you mean 'good'?"), (["zzz"], "`gpubp bench` lists them"),
                                         (["good", "bda"], "did you mean 'bad'?")])
def test_an_unknown_name(little, capsys, words, hint):
    assert main(["bench", *words]) == 2
    output = capsys.readouterr()
    assert output.err == f"gpubp: expected a benchmark, bad, good or all, got {words[-1]!r}: {hint}\n" and not output.out


def test_an_option_before_any_name(little, capsys):
    assert main(["bench", "--quick"]) == 2
    assert "unrecognized arguments: --quick" in capsys.readouterr().err


@pytest.mark.parametrize("words, passed", [
    (["good"], ["--out", "gpubp-bench"]), (["good", "--goals"], ["--goals", "--out", "gpubp-bench"]),
    (["good", "--out", "there", "--help"], ["--out", "there", "--help"]), (["good", "--out=there"], ["--out=there"]),
    (["good", "report.py", "--seed", "2"], ["report.py", "--seed", "2", "--out", "gpubp-bench"])])
def test_arguments_after_a_name_are_passed_to_its_script(little, capfd, words, passed):
    assert main(["bench", *words]) == 0
    assert capfd.readouterr().out == f"---- good\n{passed}\n"


@pytest.mark.parametrize("words", [["good", "bad", "-x"], ["all", "-x"]])
def test_several_and_all(little, capfd, words):
    """Scripts after a failing one still run; the exit code is that of the failing one."""
    assert main(["bench", *words]) == 3
    assert capfd.readouterr().out.count("['-x', '--out', 'gpubp-bench']") == 2


@pytest.mark.long
def test_a_benchmark_runs_where_the_user_is(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "size", "--quick"]) == 0
    assert "numpy" in capfd.readouterr().out
    assert json.loads(Path("gpubp-bench", "size.json").read_text())["installations"]["numpy"]["megabytes"] > 1
