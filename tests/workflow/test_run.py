"""run.py: what it makes, what it passes on, and what it says."""

import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest

from geom2msm.verification import ADVICE

ROOT = Path(__file__).resolve().parents[2]


def load_run():
    spec = importlib.util.spec_from_file_location("geom2msm_run", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run():
    """run.py as a module of its own, so that a test may change its folders."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield load_run()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_help_is_short_and_sets_nothing_up():
    start = time.monotonic()
    result = subprocess.run([sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0
    assert "python3 run.py test" in result.stdout
    assert len(result.stdout.splitlines()) <= 18
    assert time.monotonic() - start < 2


def test_an_old_python_is_told_in_one_sentence():
    result = python("import sys; sys.version_info = (3, 9, 2); import runpy; runpy.run_path('run.py')")
    assert result.returncode == 1
    assert result.stderr.strip() == ("geom2msm needs Python 3.11 or later, this is 3.9.2: run it with a newer python3.")


def test_missing_ensurepip_names_the_debian_package(run, monkeypatch):
    monkeypatch.setattr(run.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="sudo apt install python3-venv"):
        run.require_platform()


def test_a_path_with_a_space_is_refused(run, monkeypatch):
    monkeypatch.setattr(run, "ROOT", Path("/home/my code/geom2msm"))
    with pytest.raises(SystemExit, match="path with a space"):
        run.require_platform()


def test_only_the_standard_library_is_imported(run):
    third_party = {name for name in vars(run) if name in sys.modules} - set(sys.stdlib_module_names)
    assert not third_party


def test_arguments_reach_snakemake_unchanged_and_last(run):
    arguments = ["--config", "a='b c'", "--forcerun", "train_vampnet", "-n"]
    assert run.snakemake_command(arguments, Path("envs"), interactive=False)[-5:] == arguments


@pytest.mark.parametrize(
    "arguments", [["--cores", "8"], ["--cores=8"], ["-c8"], ["-c", "8"], ["-j4"], ["--jobs", "4"], ["--profile", "x"]]
)
def test_cores_are_all_unless_given(run, arguments):
    assert "all" not in run.snakemake_command([*arguments, "figures"], Path("envs"), interactive=False)
    assert run.snakemake_command(["figures"], Path("envs"), interactive=False)[-3:] == ["--cores", "all", "figures"]


def test_another_workflow_profile_replaces_ours(run):
    command = run.snakemake_command(["--workflow-profile", "slurm"], Path("envs"), interactive=False)
    assert command.count("--workflow-profile") == 1
    assert "--cores" not in command


def test_slurm_has_its_own_driver_and_profile(run):
    command = run.snakemake_command(["-n"], Path("envs"), interactive=False, driver=run.CLUSTER)
    assert command[0] == str(run.CLUSTER / "bin/python")
    assert command[-3:] == ["--workflow-profile", "workflow/profiles/slurm", "-n"]


def test_slurm_installs_exactly_its_lock_and_passes_the_arguments_on(run, monkeypatch):
    calls = []
    for name in ("require_platform", "make_driver", "make_cluster_driver"):
        monkeypatch.setattr(run, name, lambda name=name: calls.append(name))
    monkeypatch.setattr(run, "run_workflow", lambda arguments, driver: calls.append((arguments, driver)) or 0)
    assert run.main(["slurm", "--jobs", "5"]) == 0
    assert calls[-2:] == ["make_cluster_driver", (["--jobs", "5"], run.CLUSTER)]


def test_progress_bars_are_for_terminals_only(run):
    assert "rich" in run.snakemake_command([], Path("envs"), interactive=True)
    assert "rich" not in run.snakemake_command([], Path("envs"), interactive=False)
    assert "rich" not in run.snakemake_command(["--logger", "json"], Path("envs"), interactive=True)


@pytest.mark.parametrize(
    ("arguments", "default"),
    [
        ([], True),
        (["--cores", "2"], True),
        (["-c2"], True),
        (["-n"], False),
        (["figures"], False),
        (["--profile", "x"], False),
    ],
)
def test_the_report_follows_runs_of_everything(run, arguments, default):
    assert run.is_default_run(arguments) is default


def test_the_report_is_made_again_only_when_something_is_newer(run, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "ROOT", tmp_path)
    report, figure = tmp_path / "results/report.zip", tmp_path / "results/figures/a.pdf"
    figure.parent.mkdir(parents=True)
    figure.touch()
    assert not run.is_newest(report)
    report.touch()
    assert run.is_newest(report)
    os.utime(figure, (time.time() + 10,) * 2)
    assert not run.is_newest(report)


@pytest.mark.parametrize(
    ("arguments", "code", "written", "said"),
    [
        ([], 0, True, True),
        ([], 0, False, True),
        ([], 1, True, False),
        (["--config", "systems=[pentapeptide]"], 0, True, True),
        (["-n"], 0, False, False),
    ],
)
def test_where_the_page_is_is_said_when_there_is_a_new_one(
    run, tmp_path, monkeypatch, capsys, arguments, code, written, said
):
    page = tmp_path / "results/report.html"
    page.parent.mkdir()
    page.touch()
    os.utime(page, (1, 1))

    def snakemake(command, environment):
        if written:
            page.touch()
        return code

    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "deployment", lambda driver: ({}, tmp_path))
    monkeypatch.setattr(run, "run", snakemake)
    monkeypatch.setattr(run, "say_last_words", lambda folder, logs, started: None)
    assert run.run_workflow(arguments) == code
    assert ("results/report.html" in capsys.readouterr().err) is said


def test_pip_settings_are_read_with_the_precedence_of_pip(run):
    listing = (
        ":env:.find-links='/wheels'\n"
        "global.extra-index-url='https://a.example/simple\\nhttps://b.example/simple'\n"
        "global.find-links='/old'\n"
        "install.find-links='/older /oldest'\n"
    )
    assert run.pip_settings(listing) == {
        "extra-index-url": ["https://a.example/simple", "https://b.example/simple"],
        "find-links": ["/wheels"],
    }


def test_uv_looks_where_pip_looks(run):
    pip = {"find-links": ["/a", "/b"], "extra-index-url": ["https://a.example", "https://b.example"]}
    found = run.uv_settings({}, pip, has_nvidia=False)
    assert found["UV_FIND_LINKS"] == "/a,/b"
    assert found["UV_INDEX"] == "https://a.example https://b.example"
    assert found["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_variables_set_for_uv_win_over_settings_of_pip(run):
    found = run.uv_settings({"UV_FIND_LINKS": "/mine"}, {"find-links": ["/pip"]}, has_nvidia=False)
    assert found["UV_FIND_LINKS"] == "/mine"


@pytest.mark.parametrize(
    ("environment", "pip", "has_nvidia", "backend"),
    [
        ({}, {}, False, "cpu"),
        ({}, {}, True, None),
        ({}, {"find-links": ["/wheels"]}, False, None),
        ({"UV_INDEX": "https://a.example"}, {}, False, None),
        ({"UV_TORCH_BACKEND": "cu130"}, {}, False, "cu130"),
        ({}, {"cert": ["/a.pem"]}, False, "cpu"),
    ],
)
def test_torch_is_the_cpu_build_without_nvidia_driver_or_configured_index(run, environment, pip, has_nvidia, backend):
    assert run.uv_settings(environment, pip, has_nvidia=has_nvidia).get("UV_TORCH_BACKEND") == backend


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A PATH that holds nothing but what a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def add(name: str) -> None:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)

    return add


def test_conda_is_used_where_it_is_found(run, commands, capsys):
    commands("conda")
    environment, envs = run.deployment()
    assert str(run.STANDIN) not in environment["PATH"]
    assert envs == run.ENVIRONMENTS / "conda"
    assert "using conda" in capsys.readouterr().err


@pytest.mark.parametrize("present", [[], ["mamba"]])
def test_without_conda_the_stand_in_comes_first_and_is_announced(run, commands, monkeypatch, capsys, present):
    for name in present:
        commands(name)
    monkeypatch.setattr(run, "with_uv", dict)
    environment, envs = run.deployment()
    assert environment["PATH"].startswith(str(run.STANDIN / "bin"))
    assert envs.name.startswith("uv-")
    said = capsys.readouterr().err
    assert "building the same pins with uv from PyPI" in said
    assert ("mamba was found" in said) == bool(present)


def test_new_tested_versions_make_new_environments(run, commands, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "with_uv", dict)
    monkeypatch.setattr(run, "REQUIREMENTS", tmp_path)
    folders = set()
    for versions in ("numpy==2.4.6\n", "numpy==2.4.7\n"):
        (tmp_path / "constraints.txt").write_text(versions)
        folders.add(run.deployment()[1])
    assert len(folders) == 2


def test_an_interrupted_set_up_is_done_again(run, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "ENVIRONMENTS", tmp_path)
    folder = tmp_path / "made"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt), run.under_construction(folder, "1"):
        raise KeyboardInterrupt
    seen = []
    for stamp in ("1", "1", "2"):
        with run.under_construction(folder, stamp) as missing:
            seen.append(missing)
    assert seen == [True, False, True]


def test_of_two_set_ups_at_once_one_waits_for_the_other(run, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "ENVIRONMENTS", tmp_path)
    folder, seen = tmp_path / "made", []

    def set_up():
        with run.under_construction(folder, "1") as missing:
            seen.append(missing)
            folder.mkdir(exist_ok=True)
            time.sleep(0.2)

    threads = [threading.Thread(target=set_up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [True, False]


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_passed_on(run, code):
    assert run.run(["sh", "-c", f"exit {code}"], dict(os.environ)) == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_the_command_and_show_in_the_exit_code(number, tmp_path):
    ready = tmp_path / "ready"
    code = "import os, sys, run; sys.exit(run.run(['sh', '-c', sys.argv[1]], dict(os.environ)))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, f"touch {ready}; exec sleep 60"],
        cwd=ROOT,
        start_new_session=True,
        # In a background job the shell has SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not ready.exists():
        time.sleep(0.05)
    time.sleep(0.2)
    # The terminal sends Ctrl-C to the whole group; a scheduler sends SIGTERM to run.py alone.
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    assert process.wait(timeout=10) == 128 + number
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


SNAKEFILE = """
rule all:
    input:
        "results/a.txt",

rule figures:
    output:
        report("results/a.txt"),
    log:
        "logs/a.log",
    conda:
        "envs/a.yaml"
    script:
        "a.py"
"""


@pytest.fixture
def toy(run, snakemake, uv, tmp_path, monkeypatch):
    """A workflow of one rule in a folder of its own, run by the real driver."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/a.yaml").write_text("channels: [conda-forge, nodefaults]\ndependencies:\n  - python >=3.11\n")
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / "a.py").write_text("import sys; open(snakemake.output[0], 'w').write(sys.prefix)\n")
    profile = tmp_path / "workflow/profiles/default/profile.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_bytes((ROOT / "workflow/profiles/default/profile.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "ENVIRONMENTS", tmp_path / ".envs")
    monkeypatch.setattr(run, "DRIVER", snakemake.parents[1])
    without_conda = [folder for folder in os.environ["PATH"].split(":") if not (Path(folder) / "conda").exists()]
    monkeypatch.setenv("PATH", ":".join(without_conda))
    return tmp_path


def test_a_rule_runs_in_the_environment_of_its_file_and_a_second_run_does_nothing(run, toy, capfd):
    assert run.run_workflow([]) == 0
    assert Path((toy / "results/a.txt").read_text()).parent.parent == toy / ".envs"
    first_report = (toy / "results/report.zip").stat().st_mtime_ns
    capfd.readouterr()
    assert run.run_workflow([]) == 0
    assert "Nothing to be done" in capfd.readouterr().err
    assert (toy / "results/report.zip").stat().st_mtime_ns == first_report


def test_a_lost_or_changed_file_is_made_anew_by_the_command_that_verify_advises(run, toy):
    """A plain run does neither: what was made from the file is there, and a file is not compared with its record."""
    rule = SNAKEFILE[SNAKEFILE.index("rule figures") :]
    last = rule.replace("figures", "last").replace("a.txt", "b.txt").replace("a.log", "b.log")
    last = last.replace("    log:", '    input:\n        "results/a.txt",\n    log:')
    text = SNAKEFILE.replace('"results/a.txt",', '"results/b.txt",', 1)
    (toy / "Snakefile").write_text(text + last)
    assert run.run_workflow(["all"]) == 0
    first = toy / "results/a.txt"
    known = first.read_text()
    for change in (first.unlink, lambda: first.write_text("changed")):
        change()
        assert run.run_workflow(["all"]) == 0
        assert not first.exists() or first.read_text() == "changed"
        assert "python3 run.py --force FILE" in ADVICE
        assert run.run_workflow(["--force", "results/a.txt"]) == 0
        assert first.read_text() == known


def test_verify_reads_the_paths_of_records_in_the_folder_that_the_jobs_worked_in(run, toy, monkeypatch, capfd):
    log = toy / "elsewhere/results/logs/a.log"
    log.parent.mkdir(parents=True)
    (toy / "elsewhere/results/a.txt").write_text("a")
    log.write_text(f"wrote {sha256(b'a').hexdigest()}  results/a.txt\n")
    monkeypatch.setattr(run, "package_environment", lambda: os.environ | {"PYTHONPATH": str(ROOT / "scripts")})
    assert run.verify(["--directory", "elsewhere"]) == 0
    assert "1 artefacts in results and 0 files they were made from: all match" in capfd.readouterr().out
    monkeypatch.chdir(toy)
    (toy / "elsewhere/results/a.txt").write_text("b")
    assert run.verify(["-d", "elsewhere", "results"]) == 1
    assert "has changed since it was written" in capfd.readouterr().out


def test_a_target_after_our_options_is_still_a_target(run, toy, capfd):
    assert run.run_workflow(["figures", "-n"]) == 0
    assert "figures" in capfd.readouterr().out
    assert not (toy / "results").exists()


def test_a_package_that_the_environment_lacks_fails_the_rule(run, toy, capfd):
    """Snakemake puts the driver's packages behind the rule's: the driver must have none to lend."""
    (toy / "a.py").write_text("import numpy\n")
    assert run.run_workflow([]) != 0
    assert "No module named 'numpy'" in capfd.readouterr().err


FAILING = """
open(snakemake.log[0], "w").write("Traceback (most recent call last):\\nValueError: in.pdb: no atoms.\\n")
raise SystemExit(1)
"""
KILLED = """
import os
open(snakemake.log[0], "w").write("frames: 10%\\n")
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (FAILING, "geom2msm: figures failed (logs/a.log): in.pdb: no atoms."),
        (KILLED, "geom2msm: figures was ended before it could say why (killed? out of memory or of time?); its log "
                 "logs/a.log ends with: frames: 10%"),
        ("import numpy", "geom2msm: figures failed before it wrote into its log (logs/a.log); its message stands "
                         "further up"),
    ],
)  # fmt: skip
def test_the_last_line_of_a_failed_run_is_the_sentence_of_the_job(run, toy, capfd, script, words):
    (toy / "a.py").write_text(script)
    assert run.run_workflow([]) != 0
    assert capfd.readouterr().err.splitlines()[-1] == words


def test_a_run_in_another_folder_ends_with_its_own_last_words(run, toy, capfd):
    (toy / "a.py").write_text("open(snakemake.log[0], 'w').write('ValueError: a.xtc ends too early\\n'); exit(1)\n")
    assert run.run_workflow(["--directory", "elsewhere"]) != 0
    assert capfd.readouterr().err.splitlines()[-1].endswith("failed (logs/a.log): a.xtc ends too early")
    assert (toy / "elsewhere/logs/a.log").is_file()


def test_a_repository_that_was_moved_has_nothing_to_do(run, toy, monkeypatch):
    assert run.run_workflow([]) == 0
    made = (toy / "results/a.txt").stat().st_mtime_ns
    # The environments of a moved repository are made anew: their folder is another one.
    monkeypatch.setattr(run, "ENVIRONMENTS", toy / "moved")
    assert run.run_workflow([]) == 0
    assert (toy / "results/a.txt").stat().st_mtime_ns == made


def test_other_versions_of_the_packages_are_a_reason_to_run_again(run, toy, monkeypatch):
    assert run.run_workflow([]) == 0
    made = (toy / "results/a.txt").stat().st_mtime_ns
    monkeypatch.setattr(run, "digest", lambda *content: "another recipe")
    assert run.run_workflow([]) == 0
    assert (toy / "results/a.txt").stat().st_mtime_ns > made


def test_a_snakemake_that_outlives_run_py_counts_as_a_run(run, tmp_path):
    with run.at_work(tmp_path):
        assert run.run(["sh", "-c", f"sleep 300 & echo $! > {tmp_path}/pid"], dict(os.environ)) == 0
    other = int((tmp_path / "pid").read_text())
    with (tmp_path / run.LOCK).open("a") as lock:
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.kill(other, signal.SIGKILL)
        fcntl.flock(lock, fcntl.LOCK_EX)


def test_a_misspelled_target_is_met_by_the_nearest_one(run, toy, capfd):
    assert run.run_workflow(["figurs"]) != 0
    assert capfd.readouterr().err.splitlines()[-1].endswith("did you mean: python3 run.py figures")


def test_a_second_run_is_told_to_wait_and_after_a_killed_one_to_unlock(run, toy, capfd):
    (toy / "a.py").write_text("import pathlib, time; pathlib.Path('begun').touch(); time.sleep(300)\n")
    with run.at_work(toy):
        command = run.snakemake_command([], run.deployment()[1], interactive=False)
        other = subprocess.Popen(command, env=run.deployment()[0], close_fds=False, start_new_session=True)
    try:
        while not (toy / "begun").exists():
            assert other.poll() is None
            time.sleep(0.1)
        capfd.readouterr()
        assert run.run_workflow([]) != 0
        assert "another run is going on in this folder" in capfd.readouterr().err.splitlines()[-1]
    finally:
        os.killpg(other.pid, signal.SIGKILL)
        other.wait()
    assert run.run_workflow([]) != 0
    assert "python3 run.py --unlock" in capfd.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("package", ["numpy", "pandas", "torch"])
def test_the_driver_holds_nothing_scientific(snakemake, package):
    interpreter = snakemake.parent / "python"
    if not interpreter.exists() or snakemake.parents[1].name != ".driver":
        pytest.skip("needs .driver/: run the tests with 'python3 run.py test'")
    assert subprocess.run([interpreter, "-c", f"import {package}"], capture_output=True).returncode == 1
