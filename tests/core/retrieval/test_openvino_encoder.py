"""OpenVINO in place of torch: the vectors are torch's, for models of every kind; conversions on disk; fallbacks."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, Normalize, Pooling, Router, Transformer
from stages import make

from core import collection, encode
from core.formats.collections import read_built_collection
from core.formats.documents import Document
from core.indexes.base import unit_rows
from core.retrieval import encoder as encoder_module
from core.retrieval import openvino_encoder, precision
from core.retrieval.encoder import Encoder, encode_texts, load_encoder, load_vectors, topic_vectors
from core.retrieval.openvino_encoder import NotConverted, OpenVinoModel
from core.retrieval.precision import auto_precision, drawn
from core.workspace.artifacts import read_manifest
from core.workspace.errors import UserError
from core.workspace.library_internals import transformer_modules
from core.workspace.models import load_sentence_transformer
from core.workspace.profile import Profile, SystemSettings
from core.workspace.progress import ProgressLog

pytest.importorskip("openvino", reason="where OpenVINO is not installed, torch encodes")

ROOT = Path(__file__).resolve().parents[3]
TEXTS = ["ban", "ban bar bas ben", "", "den ber " * 30, "unknown words", *("fes " * n for n in range(1, 12))]


def dense(folder, **settings):
    return SystemSettings(name="dense", kind="dense", model=str(folder), **settings)


def architectures(kind, tiny_bert, tmp_path):
    """Return the modules of an encoder of a kind."""
    from transformers import DistilBertConfig, DistilBertModel, MPNetConfig, MPNetModel, RobertaConfig, RobertaModel

    torch.manual_seed(3)
    bertlike = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    sizes = {"vocab_size": 250, "max_position_embeddings": 40}
    others = {
        "roberta": lambda: RobertaModel(RobertaConfig(pad_token_id=1, **sizes, **bertlike)),
        "mpnet": lambda: MPNetModel(MPNetConfig(pad_token_id=1, **sizes, **bertlike)),
        "distilbert": lambda: DistilBertModel(DistilBertConfig(dim=64, n_layers=2, n_heads=4, hidden_dim=128, **sizes)),
    }
    if kind in others:
        folder = tmp_path / kind
        SentenceTransformer(modules=[Transformer(str(tiny_bert))])[0].tokenizer.save_pretrained(folder)
        others[kind]().save_pretrained(folder)
        return [Transformer(str(folder), max_seq_length=32), Pooling(64)]
    own = Transformer(str(tiny_bert), max_seq_length=32)
    if kind == "two towers":
        towers = [[Transformer(str(tiny_bert), max_seq_length=32), Pooling(64)] for _ in range(2)]
        for weight in towers[1][0].model.parameters():
            weight.data += 0.01 * torch.randn_like(weight)
        return [Router.for_query_document(*towers)]
    return {
        "mean": lambda: [own, Pooling(64)],
        "first token, normalised": lambda: [own, Pooling(64, pooling_mode="cls"), Normalize()],
        "further modules": lambda: [own, Pooling(64), Dense(64, 24), LayerNorm(24)],
    }[kind]()


KINDS = ("mean", "first token, normalised", "further modules", "two towers", "roberta", "mpnet", "distilbert")


@pytest.mark.parametrize("kind", KINDS)
def test_the_vectors_are_those_of_torch(kind, tiny_bert, workspace, tmp_path):
    prompts = {"query": "ban ", "document": "den fes "}
    plain = SentenceTransformer(modules=architectures(kind, tiny_bert, tmp_path), prompts=prompts, device="cpu")
    plain.save(str(tmp_path / "model"))
    loaded = load_encoder(workspace, dense(tmp_path / "model"), "cpu")
    assert all(isinstance(part.model, OpenVinoModel) for part in transformer_modules(loaded))
    assert loaded.runtime["runtime"].startswith("openvino 2") and loaded.runtime["precision"] == "fp32"
    assert (loaded.max_seq_length, loaded.device.type) == (plain.max_seq_length, "cpu")
    for role, expected in (("query", plain.encode_query(TEXTS)), ("document", plain.encode_document(TEXTS))):
        assert encode_texts(loaded, TEXTS, role) == pytest.approx(expected, abs=2e-6), "in streams"
        assert encode_texts(loaded, TEXTS, role, batch=1) == pytest.approx(expected, abs=2e-6), "one by one"
    assert not np.allclose(plain.encode_query(TEXTS), plain.encode_document(TEXTS), atol=1e-3)


def test_a_query_has_the_same_vector_to_the_last_bit_in_a_batch_and_alone(encoder, workspace):
    loaded = load_encoder(workspace, dense(encoder), "cpu")
    together = encode_texts(loaded, TEXTS, "query", batch=1)
    assert np.array_equal([encode_texts(loaded, [text], "query", batch=1)[0] for text in TEXTS], together)


def test_threads_are_those_of_torch(encoder, workspace):
    (part,) = transformer_modules(load_encoder(workspace, dense(encoder), "cpu"))
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 1):
            torch.set_num_threads(threads)
            for single in (True, False):
                compiled = part.model.compiled(single).model
                assert compiled.get_property("INFERENCE_NUM_THREADS") == threads
                assert compiled.get_property("NUM_STREAMS") == (1 if single else threads)
    finally:
        torch.set_num_threads(before)


# Conversions on disk


def refused(*_):
    raise AssertionError("converted again")


def test_a_conversion_is_kept_and_made_again_if_it_is_damaged_or_of_another_model(encoder, workspace, monkeypatch):
    expected = encode_texts(load_encoder(workspace, dense(encoder), "cpu"), TEXTS, "document")
    place = workspace.converted(str(encoder))
    with monkeypatch.context() as patched:
        patched.setattr(openvino_encoder, "_convert", refused)
        assert np.array_equal(encode_texts(load_encoder(workspace, dense(encoder), "cpu"), TEXTS, "document"), expected)
        patched.setattr("core.workspace.artifacts.metadata.version", lambda name: "another")
        with pytest.raises(AssertionError, match="converted again"):
            load_encoder(workspace, dense(encoder), "cpu")
    weights = place / "transformer-0.bin"
    weights.write_bytes(bytes(weights.stat().st_size))
    assert np.array_equal(encode_texts(load_encoder(workspace, dense(encoder), "cpu"), TEXTS, "document"), expected)
    assert any(weights.read_bytes())


def test_where_nothing_can_be_written_a_model_is_converted_in_memory(encoder, workspace, monkeypatch):
    def read_only(*_, **__):
        raise UserError("read-only")

    monkeypatch.setattr(openvino_encoder, "writing", read_only)
    expected = SentenceTransformer(str(encoder), device="cpu").encode(TEXTS)
    loaded = load_encoder(workspace, dense(encoder), "cpu")
    assert loaded.runtime["runtime"].startswith("openvino")
    assert encode_texts(loaded, TEXTS, "document") == pytest.approx(expected, abs=2e-6)


# Fallbacks


def missing():
    raise NotConverted("OpenVINO is not installed")


def no_conversion(*_, **__):
    raise RuntimeError("an operation that it does not know")


FALLBACKS = {
    "not installed": (openvino_encoder, "openvino", missing, "OpenVINO is not installed"),
    "not converted": (
        "openvino.convert_model",
        None,
        no_conversion,
        "RuntimeError: an operation that it does not know",
    ),
    "other vectors": (openvino_encoder, "TOLERANCE", 1e-12, "its vectors differ from torch's"),
}


@pytest.mark.parametrize("case", FALLBACKS)
def test_what_openvino_does_not_run_torch_runs_and_says_why(case, encoder, workspace, monkeypatch, capfd):
    where, name, value, reason = FALLBACKS[case]
    openvino_encoder.openvino()
    monkeypatch.setattr(openvino_encoder, "stale_reason", lambda *_: "not converted yet")
    monkeypatch.setattr(where, name, value) if name else monkeypatch.setattr(where, value)
    loaded = load_encoder(workspace, dense(encoder), "cpu")
    assert not any(isinstance(part.model, OpenVinoModel) for part in transformer_modules(loaded))
    assert reason in loaded.runtime["fallback"]
    assert loaded.runtime["runtime"] == f"torch {torch.__version__}"
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("note: ")]
    assert line.startswith("note: dense is encoded by torch, which is slower than OpenVINO: ") and reason in line
    expected = SentenceTransformer(str(encoder), device="cpu").encode(TEXTS)
    assert encode_texts(loaded, TEXTS, "document") == pytest.approx(expected, abs=2e-6)


# Nothing is sent

SENDING = """
import socket, sys
def refuse(*a, **k): sys.exit("a socket was opened")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import numpy as np
from functools import partial
from pathlib import Path
from core.formats.documents import Document
from core.retrieval.encoder import load_encoder, encode_texts
from core.retrieval.precision import quantise
from core.workspace.profile import SystemSettings
from core.workspace.progress import ProgressLog
from core.workspace.workspace import Workspace
model, root = sys.argv[1:]
workspace = Workspace(Path(root) / "artifacts", checkout=Path(root))
system = SystemSettings(name="a", kind="dense", model=model)
assert load_encoder(workspace, system, "cpu").runtime["runtime"].startswith("openvino")
if sys.modules.get("nncf") is None and __import__("importlib.util").util.find_spec("nncf"):
    with ProgressLog(Path(root)) as log:
        quantise(workspace, system, [Document("d", "", "ban bar")] * 4, Path(root) / "int8", log)
import threading, time
time.sleep(0.5)  # what is sent is sent by threads
assert not any("elemetry" in thread.name or "ThreadPool" in thread.name for thread in threading.enumerate())
"""


def test_neither_openvino_nor_nncf_sends_or_writes_usage_statistics(encoder, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    ended = subprocess.run(
        [sys.executable, "-c", SENDING, str(encoder), str(tmp_path)],
        env=kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert not (home / "intel").exists(), "its client id and consent"


# Precisions


@pytest.fixture
def profile(words, beir_folder):
    texts = {f"d{n}": " ".join(words[n : n + 3 + n % 7]) for n in range(40)}
    corpus = "".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text in texts.items())
    source = str(beir_folder({"corpus.jsonl": corpus}))
    return lambda system: Profile(collection={"name": "tiny", "source": source}, system=[system])


def built(profile, workspace):
    """Return the vectors of the profile's only system, and their manifest."""
    folder = workspace.collection("tiny")
    if not folder.collection.path.exists():
        make(collection.STAGE, profile, folder)
    make(encode.STAGE, profile, folder, profile.system[0])
    return np.array(load_vectors(folder, "dense")[0]), read_manifest(folder.vectors("dense"))


def interrupt_after(shards, monkeypatch):
    """Let an encoding end as if by Ctrl-C after some shards of 16 documents, and return how many texts each has."""
    calls, real = [], encoder_module.encode_texts

    def counted(model, texts, role):
        if len(calls) == shards:
            raise KeyboardInterrupt
        calls.append(len(texts))
        return real(model, texts, role)

    monkeypatch.setattr(encoder_module, "SHARD", 16)
    monkeypatch.setattr(encoder_module, "encode_texts", counted)
    return calls


def test_the_manifest_says_what_encoded_in_which_precision(encoder, profile, workspace):
    _, manifest = built(profile(dense(encoder)), workspace)
    assert manifest.facts["precision"] == "fp32"
    assert manifest.facts["runtime"] == f"openvino {manifest.versions['openvino']}"
    assert "precision" not in manifest.settings and "fallback" not in manifest.facts


VECTORS = {"fp32": [1.0, 0.0], "bf16": [1.0, 0.01], "fp16": [1.0, 0.03]}
"""Vectors whose cosines to the first are 0.99995 and 0.99955."""


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [(("bf16",), "bf16"), (("fp16", "bf16"), "bf16"), (("fp16",), "fp32"), ((), "fp32")],
)
def test_auto_is_the_first_precision_whose_cosines_are_high(candidates, expected, workspace, monkeypatch, tmp_path):
    documents = [Document(str(n), "", f"text {n}") for n in range(100)]
    encoded = []
    monkeypatch.setattr(precision, "faster_precisions", lambda device: candidates)
    monkeypatch.setattr(precision, "load_encoder", lambda workspace, system, device, chosen: chosen)
    monkeypatch.setattr(
        precision,
        "encode_texts",
        lambda model, texts, role: encoded.append(texts) or np.array([VECTORS[model]] * len(texts), dtype=np.float32),
    )
    with ProgressLog(tmp_path) as log:
        found, cosines = auto_precision(workspace, dense("a"), documents, "cpu", log)
        assert found == expected
        exact = {name: 1 / np.hypot(*VECTORS[name]) for name in candidates}
        assert cosines == pytest.approx({name: exact[name] for name in cosines}, abs=1e-6)
        assert set(map(tuple, encoded)) == {tuple(drawn(dense("a"), documents, 64))}, "all on the same documents"
        assert len(set(encoded[0])) == 64 if encoded else not candidates
        encoded.clear()
        assert auto_precision(workspace, dense("a"), documents, "cpu", log) == (found, cosines)
        assert not encoded, "a resumed run goes on with what the log says"
        monkeypatch.setattr(precision, "faster_precisions", lambda device: ())
        assert auto_precision(workspace, dense("a"), documents, "cpu", log)[0] == "fp32", "on another machine"


def test_a_run_resumed_where_its_precision_is_missing_encodes_all_again(encoder, profile, workspace, monkeypatch):
    profile = profile(dense(encoder, precision="auto"))
    make(collection.STAGE, profile, workspace.collection("tiny"))
    monkeypatch.setattr(precision, "faster_precisions", lambda device: ("bf16",))
    monkeypatch.setattr(precision, "LOWEST_COSINE", 0.0)
    monkeypatch.setattr(precision, "load_encoder", lambda *_: load_encoder(workspace, dense(encoder), "cpu"))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(encode, "load_encoder", lambda *_: load_encoder(workspace, dense(encoder), "cpu"))
        interrupt_after(2, patched)
        built(profile, workspace)
    calls = interrupt_after(99, monkeypatch)
    monkeypatch.setattr(precision, "faster_precisions", lambda device: ())
    vectors, manifest = built(profile, workspace)
    assert sum(calls) == 40
    assert (manifest.facts["precision"], manifest.settings["precision"]) == ("fp32", "auto")
    assert vectors == pytest.approx(built(profile_of_fp32(profile), workspace)[0], abs=2e-6)


def profile_of_fp32(profile):
    return profile.model_copy(update={"system": [profile.system[0].model_copy(update={"precision": "fp32"})]})


def test_int8_quantises_documents_alone_and_a_resumed_run_keeps_its_model(encoder, profile, workspace, monkeypatch):
    pytest.importorskip("nncf")
    exact = unit_rows(built(profile(dense(encoder)), workspace)[0])
    profile = profile(dense(encoder, precision="int8"))
    vectors, manifest = built(profile, workspace)
    assert (manifest.facts["precision"], manifest.settings["precision"]) == ("int8", "int8")
    assert sorted(manifest.files) == ["document_ids.json", "vectors.npy"]
    cosines = (exact * unit_rows(vectors)).sum(axis=1)
    assert 0.95 < cosines.min() < 0.99999, "of a tiny model"
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        interrupt_after(2, patched)
        built(profile, workspace)
    calls = interrupt_after(99, monkeypatch)
    monkeypatch.setattr(openvino_encoder, "save_quantised", refused)
    assert np.array_equal(built(profile, workspace)[0], vectors)
    assert calls == [8], "only the rest is encoded"
    folder = workspace.collection("tiny")
    topics = read_built_collection(folder).topics
    plain = SentenceTransformer(str(encoder), device="cpu").encode_query([topic.question for topic in topics])
    assert topic_vectors(profile, profile.system[0], topics, folder, "cpu") == pytest.approx(plain, abs=2e-6)


def test_int8_without_nncf_or_openvino_is_refused(encoder, profile, workspace, monkeypatch):
    profile = profile(dense(encoder, precision="int8"))
    with monkeypatch.context() as patched:
        patched.setattr(precision.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"run pip install -r requirements-int8\.txt"):
            built(profile, workspace)
    pytest.importorskip("nncf")
    monkeypatch.setattr(openvino_encoder, "openvino", missing)
    with pytest.raises(UserError, match='precision = "int8" needs OpenVINO, but OpenVINO is not installed'):
        built(profile, workspace)


# Several devices


def test_several_devices_share_a_shard(encoder, workspace, monkeypatch):
    """Two processes on the CPU stand in for two GPUs."""
    monkeypatch.setitem(
        sys.modules, "__main__", ModuleType("__main__")
    )  # after AppTest it is a page, which they import
    load = partial(load_sentence_transformer, workspace, str(encoder), "cpu")
    shared = Encoder(load, "document", devices=("cpu", "cpu"))
    vectors, about = shared(TEXTS)
    assert vectors == pytest.approx(load().encode(TEXTS), abs=2e-6)
    assert about["devices"] == 2


@pytest.mark.parametrize(("device", "expected"), [("cpu", 0), ("cuda:0", 3), ("cuda", 3), ("cuda:2", 0), ("mps", 0)])
def test_all_gpus_are_used_unless_one_is_named(device, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert len(encoder_module._gpus(torch.device(device))) == expected
