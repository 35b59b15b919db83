"""What all tests share: where the development data lies, and artifacts that go to a folder of the test's own."""

import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models of the tests are tiny: more threads wait for each other
if not os.environ.get("RANKSCOPE_SWEEP"):  # that test alone is about artifacts of the user's own
    for variable in ("RANKSCOPE_ARTIFACTS", "RANKSCOPE_MIRROR", "RANKSCOPE_MODELS", "RANKSCOPE_PROFILE"):
        os.environ.pop(variable, None)
IR_DATASETS = tempfile.TemporaryDirectory(prefix="ir-datasets-")
os.environ["IR_DATASETS_HOME"] = IR_DATASETS.name  # ir_datasets reads it when it is imported
sys.path.insert(0, str(ROOT))  # before tests/, whose folders are named like the packages that they test

sys.path.append(str(ROOT / "tests"))

import tiny_models  # noqa: E402
from beir_files import BEIR_FILES  # noqa: E402
from tiny_models import WORDS  # noqa: E402

from core.workspace import command_line  # noqa: E402
from core.workspace.workspace import VARIABLE, Workspace  # noqa: E402

settings.register_profile(
    "rankscope",
    deadline=None,
    max_examples=int(os.environ.get("RANKSCOPE_EXAMPLES", "60")),  # a campaign: some thousands
    database=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("rankscope")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with tests/scripts: its files have few tests that take minutes, and the last file ends alone."""
    items.sort(key=lambda item: "scripts" not in item.path.parts[len(ROOT.parts) :])


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of the development data; without it the test is skipped, in CI it fails."""
    folder = ROOT / os.environ.get("RANKSCOPE_DATA", "../shared/data")
    if folder.is_dir():
        return folder.resolve()
    sentence = f"the development data is not at {folder}; name its folder in RANKSCOPE_DATA"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return an empty workspace in a folder of the test's own, which command lines and pages use, too."""
    root = tmp_path / "project" / "artifacts"
    root.mkdir(parents=True)
    monkeypatch.setenv(VARIABLE, str(root))
    return Workspace(root, checkout=root.parent)


@pytest.fixture(scope="session", autouse=True)
def conversions(tmp_path_factory: pytest.TempPathFactory):
    """Let all tests share the models that OpenVINO runs: to convert one takes half a second."""
    root = tmp_path_factory.mktemp("conversions")
    converted = Workspace.converted
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Workspace, "converted", lambda self, model: converted(replace(self, root=root), model))
        yield


@dataclass(frozen=True)
class Outcome:
    """How a command line ended."""

    status: int
    out: str
    err: str

    def refused_with(self, *parts: str) -> bool:
        """Say whether it ended as a user's mistake must: status 2, one sentence that holds the parts, no traceback."""
        one_line = self.err.count("\n") == 1 and self.err.endswith("\n") and self.err.startswith("error: ")
        return self.status == 2 and one_line and "Traceback" not in self.err and all(part in self.err for part in parts)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]):
    """Return a function that runs a stage's main function as its command line does."""

    def run(main, *arguments: object) -> Outcome:
        status = 0
        try:
            command_line.run(lambda: main([str(argument) for argument in arguments]))
        except SystemExit as end:
            status = end.code
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def beir_folder(tmp_path: Path):
    """Return a function that writes a collection of three documents and two topics, some files replaced or left out."""

    def write(replace: dict[str, str | bytes | None] | None = None, name: str = "tiny") -> Path:
        folder = tmp_path / name
        for file, content in (BEIR_FILES | (replace or {})).items():
            if content is not None:
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return write


@pytest.fixture(scope="session")
def words() -> list[str]:
    """Return the words that `tiny_bert` knows."""
    return WORDS


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a BERT of two layers and random weights that knows WORDS."""
    return tiny_models.make_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="session")
def tiny_cross_encoder(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    """Return the folder of a cross-encoder over `tiny_bert` with random weights."""
    return tiny_models.make_cross_encoder(tmp_path_factory.mktemp("models") / "tiny-cross-encoder", tiny_bert)


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a T5 of one layer and random weights that knows T5_WORDS."""
    return tiny_models.make_t5(tmp_path_factory.mktemp("models") / "tiny-t5")


@pytest.fixture(scope="session")
def encoder(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a bi-encoder with mean pooling, made of the tiny BERT."""
    return tiny_models.make_encoder(tmp_path_factory.mktemp("models") / "tiny-encoder", tiny_bert)
