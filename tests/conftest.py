"""What all tests share: where the development data lies, and artifacts that go to a folder of the test's own."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models of the tests are tiny: more threads wait for each other
sys.path.insert(0, str(ROOT))  # before tests/, whose folders are named like the packages that they test

from core import cli  # noqa: E402

settings.register_profile(
    "rankscope",
    deadline=None,
    max_examples=60,
    database=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("rankscope")


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
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of the test's own stand for the project's root, in every module that knows ROOT or ARTIFACTS."""
    root = tmp_path / "project"
    (root / "artifacts").mkdir(parents=True)
    for name, module in list(sys.modules.items()):
        if name == "core" or name.startswith("core."):
            for constant, value in (("ROOT", root), ("ARTIFACTS", root / "artifacts")):
                if hasattr(module, constant):
                    monkeypatch.setattr(module, constant, value)
    return root


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
            cli.run(lambda: main([str(argument) for argument in arguments]))
        except SystemExit as end:
            status = end.code
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


BEIR_FILES = {
    "corpus.jsonl": (
        '{"_id": "d1", "title": "Masks", "text": "Masks slow the spread.", "metadata": {"doi": "10.1/1"}}\n'
        '{"_id": "d2", "title": "", "text": "Vaccines protect the old."}\n'
        '{"_id": "d3", "title": "Bats", "text": ""}\n'
    ),
    "queries.jsonl": (
        '{"_id": "1", "text": "do masks help?", "metadata": {"query": "masks", "narrative": "Studies of masks."}}\n'
        '{"_id": "2", "text": "who needs vaccines?"}\n'
    ),
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\td1\t2\n1\td2\t0\n2\td2\t1\n",
}


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


WORDS = [first + vowel + last for first in "bdfgklmnprst" for vowel in "aeiou" for last in "nrsl"]
"""The words that `tiny_bert` knows."""


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a BERT of two layers and random weights that knows WORDS."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(1)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    BertModel(BertConfig(vocab_size=len(vocabulary), hidden_dropout_prob=0.0, **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def words() -> list[str]:
    """Return the words that `tiny_bert` knows."""
    return WORDS


T5_WORDS = ["which", "masks", "slow", "the", "spread", "of", "bats", "and", "fruit"]
"""The words that `tiny_t5` knows."""


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a T5 of one layer and random weights that knows T5_WORDS."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    folder = tmp_path_factory.mktemp("models") / "tiny-t5"
    words = ["<pad>", "</s>", "<unk>", *T5_WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(1)
    configuration = T5Config(
        vocab_size=len(words), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    T5ForConditionalGeneration(configuration).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a bi-encoder with mean pooling, made of the tiny BERT."""
    from core.finetune import build_model
    from core.profile import FinetuneSettings

    folder = tmp_path_factory.mktemp("models") / "tiny-encoder"
    build_model(FinetuneSettings(max_tokens=32), tiny_bert, "cpu").save(str(folder))
    return folder
