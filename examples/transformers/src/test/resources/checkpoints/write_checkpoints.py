"""Tiny random checkpoints in Hugging Face's format, with what they compute, in plain PyTorch after the papers' formulas.

write_checkpoints.py FOLDER [CASE...]   every case, or these, each in a folder of its own:
    config.json, model.safetensors (or shards and their index)
    expected.safetensors      input_ids [texts, tokens], and what the model of config.json's class gives for them; of pairs also
                              token_type_ids; of heads labels, their loss, and the gradient of the head's last matrix
    adapter/                  an adapter in PEFT's format for that class; "adapted" in expected.safetensors is with it

All is computed in float64 from the weights as they are stored. Texts are padded at their ends.
"""
import json
import math
import os
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HIDDEN, WIDE, LAYERS, HEADS, VOCABULARY, POSITIONS, CLASSES, RANK, ALPHA = 8, 12, 2, 2, 19, 10, 3, 2, 3
LENGTHS = [7, 4, 1, 6]
LONG = [141, 23, 90]
BUCKETS = 32
NEVER = -3e4
LIKE_ROBERTA = ("roberta", "xlm-roberta", "camembert", "mpnet")
NAMES = {"bert": "Bert", "roberta": "Roberta", "distilbert": "DistilBert", "gpt2": "GPT2", "xlm-roberta": "XLMRoberta",
         "camembert": "Camembert", "mpnet": "MPNet"}
PREFIXES = {"bert": "bert.", "distilbert": "distilbert.", "gpt2": "transformer.", "roberta": "roberta.",
            "xlm-roberta": "roberta.", "camembert": "roberta.", "mpnet": "mpnet."}
WORDS = {family: "wte" if family == "gpt2" else "embeddings.word_embeddings" for family in NAMES}
DECODERS = {"bert": "cls.predictions.decoder", "distilbert": "vocab_projector", "gpt2": "lm_head",
            **{family: "lm_head.decoder" for family in LIKE_ROBERTA}}
BIASES = {"bert": "cls.predictions.bias", "distilbert": "vocab_projector.bias",
          **{family: "lm_head.bias" for family in LIKE_ROBERTA}}
RELATIVE = "encoder.relative_attention_bias.weight"
ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_new": lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3))),
    "relu": F.relu,
}


class Model:
    """A state of named tensors, and functions of it; adapters add to what dense layers compute."""

    def __init__(self, prefix, config, adapter=None, replaced=None):
        self.prefix, self.config = prefix, config
        self.state, self.shapes, self.conv1d = {}, {}, set()
        self.adapter, self.replaced = adapter or {}, replaced or {}
        self.modules = [("Pooling", ["mean"]), ("Normalize",)]
        self.types = None

    def get(self, name):
        return self.replaced.get(name, self.state[name])

    def dense(self, name, x):
        weight = self.get(name + ".weight")
        y = x @ (weight if name in self.conv1d else weight.T)
        if name + ".bias" in self.state:
            y = y + self.get(name + ".bias")
        if name in self.adapter:
            a, b = self.adapter[name]
            y = y + ALPHA / RANK * (x @ a.T @ b.T)
        return y

    def norm(self, name, x, epsilon):
        mean = x.mean(-1, keepdim=True)
        variance = ((x - mean) ** 2).mean(-1, keepdim=True)
        return (x - mean) / torch.sqrt(variance + epsilon) * self.get(name + ".weight") + self.get(name + ".bias")


def attention(query, key, value, seen, bias=0):
    """softmax(Q·Kᵀ/√d + bias)·V in each head; seen [texts, tokens, tokens] says which tokens a token sees."""
    texts, tokens, hidden = query.shape

    def heads(x):
        return x.view(texts, tokens, HEADS, hidden // HEADS).transpose(1, 2)

    scores = heads(query) @ heads(key).transpose(2, 3) / math.sqrt(hidden // HEADS) + bias
    scores = scores.masked_fill(~seen[:, None], -math.inf)
    return (torch.softmax(scores, -1) @ heads(value)).transpose(1, 2).reshape(texts, tokens, hidden)


def bucket(distance):
    """Raffel et al. 2020, section 2.1: half of the buckets for tokens before, a half of these for one distance each."""
    half, near = BUCKETS // 2, BUCKETS // 4
    n = abs(distance)
    far = near + (torch.log(n.float() / near) / math.log(128 / near) * (half - near)).long().clamp(max=half - near - 1)
    return torch.where(n < near, n, far) + half * (distance > 0)


def bert(m, ids, padding):
    c, p = m.config, m.prefix
    act, epsilon = ACTIVATIONS[c["hidden_act"]], c["layer_norm_eps"]
    real = ids != padding
    if c["model_type"] in LIKE_ROBERTA:
        positions = torch.cumsum(real.long(), 1) * real.long() + padding
    else:
        positions = torch.arange(ids.shape[1]).expand(ids.shape)
    e = p + "embeddings."
    x = m.get(e + "word_embeddings.weight")[ids] + m.get(e + "position_embeddings.weight")[positions]
    bias, self, out, query, key, value = 0, "attention.self.", "attention.output.dense", "query", "key", "value"
    norm = "attention.output.LayerNorm"
    if c["model_type"] == "mpnet":
        tokens = torch.arange(ids.shape[1])
        bias = m.get(p + RELATIVE)[bucket(tokens[None, :] - tokens[:, None])].permute(2, 0, 1)
        self, out, query, key, value, norm = "attention.attn.", "attention.attn.o", "q", "k", "v", "attention.LayerNorm"
    else:
        x = x + m.get(e + "token_type_embeddings.weight")[0 if m.types is None else m.types]
    x = m.norm(e + "LayerNorm", x, epsilon)
    for i in range(LAYERS):
        b = f"{p}encoder.layer.{i}."
        s = b + self
        mixed = attention(m.dense(s + query, x), m.dense(s + key, x), m.dense(s + value, x),
                          real[:, None, :].expand(-1, ids.shape[1], -1), bias)
        x = m.norm(b + norm, x + m.dense(b + out, mixed), epsilon)
        wide = act(m.dense(b + "intermediate.dense", x))
        x = m.norm(b + "output.LayerNorm", x + m.dense(b + "output.dense", wide), epsilon)
    return x


def distilbert(m, ids, padding):
    p = m.prefix
    real = ids != padding
    e = p + "embeddings."
    x = m.get(e + "word_embeddings.weight")[ids] + m.get(e + "position_embeddings.weight")[torch.arange(ids.shape[1])]
    x = m.norm(e + "LayerNorm", x, 1e-12)
    for i in range(LAYERS):
        b = f"{p}transformer.layer.{i}."
        a = b + "attention."
        mixed = attention(m.dense(a + "q_lin", x), m.dense(a + "k_lin", x), m.dense(a + "v_lin", x),
                          real[:, None, :].expand(-1, ids.shape[1], -1))
        x = m.norm(b + "sa_layer_norm", x + m.dense(a + "out_lin", mixed), 1e-12)
        wide = ACTIVATIONS[m.config["activation"]](m.dense(b + "ffn.lin1", x))
        x = m.norm(b + "output_layer_norm", x + m.dense(b + "ffn.lin2", wide), 1e-12)
    return x


def gpt2(m, ids, padding):
    p, epsilon = m.prefix, m.config["layer_norm_epsilon"]
    tokens = ids.shape[1]
    x = m.get(p + "wte.weight")[ids] + m.get(p + "wpe.weight")[torch.arange(tokens)]
    seen = torch.tril(torch.ones(tokens, tokens, dtype=torch.bool)).expand(len(ids), -1, -1)
    for i in range(LAYERS):
        b = f"{p}h.{i}."
        query, key, value = m.dense(b + "attn.c_attn", m.norm(b + "ln_1", x, epsilon)).split(HIDDEN, -1)
        x = x + m.dense(b + "attn.c_proj", attention(query, key, value, seen))
        wide = ACTIVATIONS[m.config["activation_function"]](m.dense(b + "mlp.c_fc", m.norm(b + "ln_2", x, epsilon)))
        x = x + m.dense(b + "mlp.c_proj", wide)
    return m.norm(p + "ln_f", x, epsilon)


def decode(m, x, family):
    """By the decoder's own matrix, or by the words; of the two names of BERT's and RoBERTa's bias m has one."""
    own, words = DECODERS[family] + ".weight", m.prefix + WORDS[family] + ".weight"
    bias = BIASES.get(family)
    weight = m.get(own) if own in m.state or own in m.replaced else m.get(words)
    return x @ weight.T + (0 if bias is None else m.get(bias))


def pooled(modes, x, real):
    """As sentence-transformers' class Pooling: several modes stand side by side in the order of the list, as since 5.4."""
    n = real.sum(1)
    places = torch.arange(1, x.shape[1] + 1).double()[None, :, None] * real
    known = {"cls": x[:, 0], "max": x.masked_fill(real == 0, -1e9).max(1)[0], "mean": (x * real).sum(1) / n,
             "mean_sqrt_len_tokens": (x * real).sum(1) / torch.sqrt(n), "weightedmean": (x * places).sum(1) / places.sum(1),
             "lasttoken": x[torch.arange(len(x)), n[:, 0].long() - 1]}
    return torch.cat([known[mode] for mode in modes], 1)


def sentence(modules, x, real):
    for kind, *settings in modules:
        if kind == "Pooling":
            x = pooled(settings[0], x, real)
        elif kind == "Normalize":
            x = F.normalize(x, p=2, dim=1)
        else:
            weight, bias, activation = settings
            x = getattr(torch.nn, activation)()(x @ weight.T + (0 if bias is None else bias))
    return x


def outputs(m, family, head, ids, padding):
    x = {"distilbert": distilbert, "gpt2": gpt2}.get(family, bert)(m, ids, padding)
    if head == "bare":
        result = {"hidden": x}
        if m.prefix + "pooler.dense.weight" in m.state:
            result["pooler"] = torch.tanh(m.dense(m.prefix + "pooler.dense", x[:, 0]))
        result["sentence"] = sentence(m.modules, x, (ids != padding).double()[:, :, None])
        return result
    if head == "lm":
        if family == "bert":
            t = ACTIVATIONS[m.config["hidden_act"]](m.dense("cls.predictions.transform.dense", x))
            t = m.norm("cls.predictions.transform.LayerNorm", t, m.config["layer_norm_eps"])
            logits = decode(m, t, family)
        elif family in LIKE_ROBERTA:
            t = m.norm("lm_head.layer_norm", F.gelu(m.dense("lm_head.dense", x)), m.config["layer_norm_eps"])
            logits = decode(m, t, family)
        elif family == "distilbert":
            t = m.norm("vocab_layer_norm", ACTIVATIONS[m.config["activation"]](m.dense("vocab_transform", x)), 1e-12)
            logits = decode(m, t, family)
        else:
            logits = decode(m, x, family)
        return {"hidden": x, "logits": logits}
    if head == "tokens":
        return {"probabilities": torch.softmax(m.dense("classifier", x), -1)}
    if head == "answer":
        scores = m.dense("qa_outputs", x).masked_fill((ids == padding)[:, :, None], NEVER)
        return {"scores": scores.transpose(1, 2).reshape(len(ids), -1)}
    logits = text_logits(m, family, x, ids, padding)
    problem = m.config.get("problem_type", "regression" if outputs_of(m.config) == 1 else "single_label_classification")
    return {"values": logits} if problem == "regression" else {"probabilities": torch.sigmoid(logits)
            if problem == "multi_label_classification" else torch.softmax(logits, -1)}


def text_logits(m, family, x, ids, padding):
    if family == "bert":
        logits = m.dense("classifier", torch.tanh(m.dense(m.prefix + "pooler.dense", x[:, 0])))
    elif family in LIKE_ROBERTA:
        logits = m.dense("classifier.out_proj", torch.tanh(m.dense("classifier.dense", x[:, 0])))
    elif family == "distilbert":
        logits = m.dense("classifier", F.relu(m.dense("pre_classifier", x[:, 0])))
    else:
        last = (ids != padding).sum(1) - 1
        logits = m.dense("score", x[torch.arange(len(ids)), last])
    return logits


def outputs_of(config):
    return len(config["id2label"])


def learned(m, family, head, ids, padding, generator):
    """Labels, the loss that transformers' class has for them, and the gradient of the head's last matrix."""
    texts, tokens = ids.shape
    names = {"tokens": "classifier", "answer": "qa_outputs"}
    last = names.get(head) or next(name for name in ("classifier.out_proj", "score", "classifier") if name + ".weight" in m.state)
    weight = m.state[last + ".weight"].requires_grad_()
    output = outputs(m, family, head, ids, padding)
    if head == "tokens":
        labels = torch.randint(0, outputs_of(m.config), ids.shape, generator=generator)
        labels[(ids == padding) | (torch.rand(ids.shape, generator=generator) < 0.3)] = -100
        loss = F.nll_loss(output["probabilities"].log().flatten(0, 1), labels.flatten(), ignore_index=-100)
    elif head == "answer":
        labels = torch.stack([torch.randint(0, length, (2,), generator=generator).sort().values for length in LENGTHS])
        labels[1, 1] = tokens + 5
        scores = output["scores"].view(texts, 2, tokens)
        loss = sum(F.cross_entropy(scores[:, i], labels[:, i].clamp(0, tokens), ignore_index=tokens) for i in range(2)) / 2
    elif "values" in output:
        labels = torch.randn(output["values"].shape, generator=generator, dtype=torch.float64)
        loss = F.mse_loss(output["values"], labels)
    elif m.config.get("problem_type") == "multi_label_classification":
        labels = torch.randint(0, 2, output["probabilities"].shape, generator=generator).double()
        loss = F.binary_cross_entropy(output["probabilities"], labels)
    else:
        labels = F.one_hot(torch.arange(texts) % outputs_of(m.config), outputs_of(m.config)).double()
        loss = -(output["probabilities"].log() * labels).sum(1).mean()
    loss.backward()
    result = {"labels": labels, "loss": loss.detach()[None], "gradient": weight.grad.clone()}
    m.state[last + ".weight"] = weight.detach()
    return result


def config_of(family, head, options=()):
    suffix = {"bare": "Model", "lm": "LMHeadModel" if family == "gpt2" else "ForMaskedLM",
              "classifier": "ForSequenceClassification", "tokens": "ForTokenClassification", "answer": "ForQuestionAnswering"}
    config = {"model_type": family, "architectures": [NAMES[family] + suffix[head]], "vocab_size": VOCABULARY,
              "torch_dtype": "float32", "transformers_version": "4.55.0"}
    if family == "bert" or family in LIKE_ROBERTA:
        config.update(hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=WIDE,
                      hidden_act="gelu", max_position_embeddings=POSITIONS, type_vocab_size=2 if family == "bert" else 1,
                      layer_norm_eps=1e-12 if family == "bert" else 1e-5, pad_token_id=0 if family == "bert" else 1,
                      hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, initializer_range=0.02,
                      position_embedding_type="absolute")
        if family == "mpnet":
            for key in ("type_vocab_size", "position_embedding_type"):
                del config[key]
            config.update(relative_attention_num_buckets=BUCKETS)
    elif family == "distilbert":
        config.update(dim=HIDDEN, n_layers=LAYERS, n_heads=HEADS, hidden_dim=WIDE, activation="gelu",
                      max_position_embeddings=POSITIONS, pad_token_id=0, dropout=0.1, sinusoidal_pos_embds=False,
                      tie_weights_=True)
    else:
        config.update(n_embd=HIDDEN, n_layer=LAYERS, n_head=HEADS, n_inner=None, n_positions=POSITIONS, n_ctx=POSITIONS,
                      activation_function="gelu_new", layer_norm_epsilon=1e-5, resid_pdrop=0.1, pad_token_id=VOCABULARY - 1)
    if head not in ("bare", "lm"):
        count = 2 if head == "answer" else next((int(option[len("outputs="):]) for option in options
                                                 if option.startswith("outputs=")), CLASSES)
        labels = ["contradiction", "entailment", "neutral"] if "inference" in options else [f"LABEL_{i}" for i in range(count)]
        config.update(id2label={str(i): label for i, label in enumerate(labels)},
                      label2id={label: i for i, label in enumerate(labels)})
    config.update({"problem_type": option[len("problem="):] for option in options if option.startswith("problem=")})
    return config


def fill(m, family, head, generator):
    """Random values in the shapes that PyTorch's modules have, of order one in what they compute."""

    def add(name, *shape, scale=0.4, shift=0.0):
        m.state[name] = torch.randn(shape, generator=generator, dtype=torch.float64) * scale + shift

    def dense(name, n_in, n_out, bias=True):
        add(name + ".weight", n_out, n_in, scale=1.5 / math.sqrt(n_in))
        if bias:
            add(name + ".bias", n_out)

    def conv1d(name, n_in, n_out):
        m.conv1d.add(name)
        add(name + ".weight", n_in, n_out, scale=1.5 / math.sqrt(n_in))
        add(name + ".bias", n_out)

    def norm(name):
        add(name + ".weight", HIDDEN, scale=0.2, shift=1.0)
        add(name + ".bias", HIDDEN, scale=0.2)

    p = m.prefix
    if family == "gpt2":
        add(p + "wte.weight", VOCABULARY, HIDDEN)
        add(p + "wpe.weight", POSITIONS, HIDDEN)
        for i in range(LAYERS):
            b = f"{p}h.{i}."
            norm(b + "ln_1")
            conv1d(b + "attn.c_attn", HIDDEN, 3 * HIDDEN)
            conv1d(b + "attn.c_proj", HIDDEN, HIDDEN)
            norm(b + "ln_2")
            conv1d(b + "mlp.c_fc", HIDDEN, 4 * HIDDEN)
            conv1d(b + "mlp.c_proj", 4 * HIDDEN, HIDDEN)
        norm(p + "ln_f")
        if head == "classifier":
            dense("score", HIDDEN, outputs_of(m.config), bias=False)
        elif head in ("tokens", "answer"):
            dense("classifier" if head == "tokens" else "qa_outputs", HIDDEN, outputs_of(m.config))
        return
    add(p + "embeddings.word_embeddings.weight", VOCABULARY, HIDDEN)
    add(p + "embeddings.position_embeddings.weight", m.config["max_position_embeddings"], HIDDEN)
    norm(p + "embeddings.LayerNorm")
    if family == "distilbert":
        for i in range(LAYERS):
            b = f"{p}transformer.layer.{i}."
            for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
                dense(b + "attention." + part, HIDDEN, HIDDEN)
            norm(b + "sa_layer_norm")
            dense(b + "ffn.lin1", HIDDEN, WIDE)
            dense(b + "ffn.lin2", WIDE, HIDDEN)
            norm(b + "output_layer_norm")
        if head == "lm":
            dense("vocab_transform", HIDDEN, HIDDEN)
            norm("vocab_layer_norm")
            add("vocab_projector.bias", VOCABULARY)
        elif head == "classifier":
            dense("pre_classifier", HIDDEN, HIDDEN)
            dense("classifier", HIDDEN, outputs_of(m.config))
        elif head in ("tokens", "answer"):
            dense("classifier" if head == "tokens" else "qa_outputs", HIDDEN, outputs_of(m.config))
        return
    if family == "mpnet":
        add(p + RELATIVE, BUCKETS, HEADS, scale=1.0)
    else:
        add(p + "embeddings.token_type_embeddings.weight", m.config["type_vocab_size"], HIDDEN)
    for i in range(LAYERS):
        b = f"{p}encoder.layer.{i}."
        if family == "mpnet":
            for part in ("q", "k", "v", "o"):
                dense(b + "attention.attn." + part, HIDDEN, HIDDEN)
            norm(b + "attention.LayerNorm")
        else:
            for part in ("query", "key", "value"):
                dense(b + "attention.self." + part, HIDDEN, HIDDEN)
            dense(b + "attention.output.dense", HIDDEN, HIDDEN)
            norm(b + "attention.output.LayerNorm")
        dense(b + "intermediate.dense", HIDDEN, WIDE)
        dense(b + "output.dense", WIDE, HIDDEN)
        norm(b + "output.LayerNorm")
    if head == "bare" or family == "bert" and head == "classifier":
        dense(p + "pooler.dense", HIDDEN, HIDDEN)
    if head == "lm" and family == "bert":
        dense("cls.predictions.transform.dense", HIDDEN, HIDDEN)
        norm("cls.predictions.transform.LayerNorm")
        add("cls.predictions.bias", VOCABULARY)
    elif head == "lm":
        dense("lm_head.dense", HIDDEN, HIDDEN)
        norm("lm_head.layer_norm")
        add("lm_head.bias", VOCABULARY)
    elif head in ("tokens", "answer"):
        dense("classifier" if head == "tokens" else "qa_outputs", HIDDEN, outputs_of(m.config))
    elif head == "classifier" and family == "bert":
        dense("classifier", HIDDEN, outputs_of(m.config))
    elif head == "classifier":
        dense("classifier.dense", HIDDEN, HIDDEN)
        dense("classifier.out_proj", HIDDEN, outputs_of(m.config))


TARGETS = {"bert": ["query", "value", "intermediate.dense"], "distilbert": ["q_lin", "v_lin", "lin1"],
           "gpt2": ["c_attn", "c_fc"], **{family: ["query", "value"] for family in LIKE_ROBERTA}, "mpnet": ["q", "v"]}


def twin(m, family, key):
    """The other name that the class has for a tied tensor; none for others."""
    decoder, words = DECODERS[family], m.prefix + WORDS[family] + ".weight"
    if key == words and decoder + ".weight" not in m.state:
        return decoder + ".weight"
    return {"cls.predictions.bias": "cls.predictions.decoder.bias", "lm_head.bias": "lm_head.decoder.bias"}.get(key)


def write_adapter(m, family, head, options, folder, generator):
    """Plain LoRA as PEFT saves it; of a classifier the head too, as PEFT's task type SEQ_CLS has it.

    The option full=NAME adds modules whose names end so, biases the setting bias="all".
    """
    adapter, tensors, replaced = {}, {}, {}
    for name in [key[:-len(".weight")] for key in m.state if key.endswith(".weight")]:
        if any(name.endswith("." + target) for target in TARGETS[family]):
            weight = m.state[name + ".weight"]
            n_in, n_out = weight.shape if name in m.conv1d else weight.shape[::-1]
            a = torch.randn(RANK, n_in, generator=generator, dtype=torch.float64) * 0.3
            b = torch.randn(n_out, RANK, generator=generator, dtype=torch.float64) * 0.3
            adapter[name] = a.float().double(), b.float().double()
            tensors[f"base_model.model.{name}.lora_A.weight"] = a.float()
            tensors[f"base_model.model.{name}.lora_B.weight"] = b.float()
    saved = {"classifier": ["classifier", "score"], "tokens": ["classifier", "score"], "answer": ["qa_outputs"]}.get(head, [])
    saved += [option[len("full="):] for option in options if option.startswith("full=")]

    def replace(key):
        if key not in replaced:
            value = (m.state[key] + 0.3 * torch.randn(m.state[key].shape, generator=generator, dtype=torch.float64)).float()
            replaced[key] = value.double()
            for name in [key] + [name for name in [twin(m, family, key)] if name and head == "lm"]:
                module = name.rpartition(".")[0]
                inner = ".base_layer" if module in adapter else ""
                tensors["base_model.model." + module + inner + name[len(module):]] = value.clone()

    for key in m.state:
        parts = key.split(".")[:-1]
        if any(("x." + ".".join(parts[:i])).endswith(entry) for entry in saved for i in range(1, len(parts) + 1)):
            replace(key)
    decoder = DECODERS[family]
    if any(entry.endswith(("wte", "word_embeddings")) for entry in saved) and head == "lm" \
            and decoder + ".weight" not in m.state:
        saved.append(decoder)
        bias = BIASES.get(family)
        if bias:
            tensors[f"base_model.model.{decoder}.bias"] = m.state[bias].float()
    if "biases" in options:
        for key in m.state:
            if key.endswith(".bias"):
                replace(key)
    os.makedirs(folder, exist_ok=True)
    save_file(tensors, os.path.join(folder, "adapter_model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(folder, "adapter_config.json"), "w") as file:
        json.dump({"peft_type": "LORA", "task_type": {"bare": "FEATURE_EXTRACTION", "classifier": "SEQ_CLS", "tokens": "TOKEN_CLS",
                                                      "answer": "QUESTION_ANS",
                                                      "lm": "CAUSAL_LM" if family == "gpt2" else None}[head],
                   "base_model_name_or_path": "tiny", "r": RANK, "lora_alpha": ALPHA, "lora_dropout": 0.0,
                   "bias": "all" if "biases" in options else "none",
                   "fan_in_fan_out": family == "gpt2", "init_lora_weights": True, "inference_mode": True,
                   "modules_to_save": saved or None, "target_modules": TARGETS[family], "use_rslora": False,
                   "use_dora": False, "rank_pattern": {}, "alpha_pattern": {}}, file, indent=2)
    return adapter, replaced


def stored(m, family, head, options):
    """What is in the files: names as options want them, and what old files have besides."""
    tensors = dict(m.state)
    if "idle-bias" in options:
        # As transformers 5 has an untied head: it adds the decoder's bias.
        tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"]
        tensors["cls.predictions.bias"] = torch.zeros(VOCABULARY)
    if "tied" in options:
        tensors[DECODERS[family] + ".weight"] = tensors[m.prefix + WORDS[family] + ".weight"].clone()
        if family == "bert":
            tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].clone()
        elif family in LIKE_ROBERTA:
            # Of two names for one tensor a file may have either.
            tensors["lm_head.decoder.bias"] = tensors.pop("lm_head.bias")
    if "gamma" in options:
        tensors = {key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
                   for key, value in tensors.items()}
    if "bare-names" in options:
        tensors = {key.removeprefix(m.prefix): value for key, value in tensors.items()}
    if "prefixed" in options:
        tensors = {PREFIXES[family] + key: value for key, value in tensors.items()}
    dtype = torch.float16 if "f16" in options else torch.bfloat16 if "bf16" in options else torch.float32
    tensors = {key: value.to(dtype).contiguous() for key, value in tensors.items()}
    if "buffers" in options:
        if family == "gpt2":
            for i in range(LAYERS):
                tensors[f"h.{i}.attn.bias"] = torch.tril(torch.ones(1, 1, POSITIONS, POSITIONS))
                tensors[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
        else:
            tensors[m.prefix + "embeddings.position_ids"] = torch.arange(POSITIONS)[None]
    if "other-heads" in options:
        tensors["cls.seq_relationship.weight"] = torch.randn(2, HIDDEN)
        tensors["cls.seq_relationship.bias"] = torch.randn(2)
    return tensors


def save(tensors, folder, options):
    if "sharded" not in options:
        save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        return
    names = sorted(tensors)
    shards = [names[0::3], names[1::3], names[2::3]]
    places = {}
    for i, shard in enumerate(shards):
        file = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        save_file({name: tensors[name] for name in shard}, os.path.join(folder, file), metadata={"format": "pt"})
        places.update({name: file for name in shard})
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {"total_size": sum(t.numel() * t.element_size() for t in tensors.values())},
                   "weight_map": places}, file, indent=2)


OLD_KEYS = {"cls": "pooling_mode_cls_token", "max": "pooling_mode_max_tokens", "mean": "pooling_mode_mean_tokens",
            "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens", "weightedmean": "pooling_mode_weightedmean_tokens",
            "lasttoken": "pooling_mode_lasttoken"}


def write_modules(folder, steps, generator):
    """The files of sentence-transformers, and what the function sentence takes.

    Steps are as ["cls+max", "Dense:Tanh:6", "Dense:GELU:5:no-bias", "Normalize"]; a pooling "=cls" is written with the new key.
    """
    modules, width = [], 0
    listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for index, step in enumerate(steps, 1):
        kind, *settings = step.split(":") if index > 1 else ["Pooling"]
        path = os.path.join(folder, f"{index}_{kind}")
        os.makedirs(path)
        listed.append({"idx": index, "name": str(index), "path": f"{index}_{kind}",
                       "type": "sentence_transformers.models." + kind})
        config = None
        if kind == "Pooling":
            modes = step.removeprefix("=").split("+")
            config = {"word_embedding_dimension": HIDDEN, "include_prompt": True}
            if step.startswith("="):
                config["pooling_mode"] = modes[0] if len(modes) == 1 else modes
            else:
                config.update({key: mode in modes for mode, key in OLD_KEYS.items()})
            width = HIDDEN * len(modes)
            modules.append((kind, modes))
        elif kind == "Dense":
            activation, out, bias = settings[0], int(settings[1]), len(settings) == 2
            package = "linear" if activation == "Identity" else "activation"
            config = {"in_features": width, "out_features": out, "bias": bias,
                      "activation_function": f"torch.nn.modules.{package}.{activation}"}
            tensors = {"linear.weight": torch.randn(out, width, generator=generator) / math.sqrt(width)}
            if bias:
                tensors["linear.bias"] = torch.randn(out, generator=generator) * 0.4
            save_file(tensors, os.path.join(path, "model.safetensors"), metadata={"format": "pt"})
            modules.append((kind, tensors["linear.weight"].double(), tensors["linear.bias"].double() if bias else None,
                            activation))
            width = out
        else:
            modules.append((kind,))
        if config:
            with open(os.path.join(path, "config.json"), "w") as file:
                json.dump(config, file, indent=2)
    with open(os.path.join(folder, "modules.json"), "w") as file:
        json.dump(listed, file, indent=2)
    return modules


def write(folder, family, head, options, seed):
    generator = torch.Generator().manual_seed(seed)
    config = config_of(family, head, options)
    if "relu" in options:
        config["activation" if family == "distilbert" else "hidden_act"] = "relu"
    if "gelu-new" in options:
        config["hidden_act"] = "gelu_new"
    if "long" in options:
        config["max_position_embeddings"] = max(LONG) + 2
    prefix = "" if head == "bare" else PREFIXES[family]
    m = Model(prefix, config)
    fill(m, family, head, generator)
    if "untied" in options:
        config["tie_word_embeddings"] = False
        m.state[DECODERS[family] + ".weight"] = torch.randn(VOCABULARY, HIDDEN, generator=generator, dtype=torch.float64) * 0.4
    tensors = stored(m, family, head, options)
    dtype = torch.float16 if "f16" in options else torch.bfloat16 if "bf16" in options else torch.float32
    m.state = {key: value.to(dtype).double() for key, value in m.state.items()}
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file, indent=2)
    save(tensors, folder, options)
    padding = config["pad_token_id"]
    lengths = LONG if "long" in options else LENGTHS
    ids = torch.full((len(lengths), max(lengths)), padding)
    for text, length in enumerate(lengths):
        ids[text, :length] = torch.randint(2, VOCABULARY - 1, (length,), generator=generator)
    steps = [option[len("sentence="):].split(",") for option in options if option.startswith("sentence=")]
    if steps:
        m.modules = write_modules(folder, steps[0], generator)
    expected = {"input_ids": ids.float()}
    if "pairs" in options:
        m.types = torch.zeros_like(ids)
        for text, length in enumerate(LENGTHS):
            m.types[text, length // 2:length] = 1
        expected["token_type_ids"] = m.types.float()
    expected.update(outputs(m, family, head, ids, padding))
    if head not in ("bare", "lm"):
        expected.update(learned(m, family, head, ids, padding, generator))
    if "peft-unties" in options:
        # PEFT copies a module that it saves, and a copy is tied to nothing.
        expected["untied"] = torch.ones(1)
        m.state[DECODERS[family] + ".weight"] = m.state[m.prefix + WORDS[family] + ".weight"].clone()
    m.adapter, m.replaced = write_adapter(m, family, head, options, os.path.join(folder, "adapter"), generator)
    expected.update({"adapted " + key: value for key, value in outputs(m, family, head, ids, padding).items()})
    save_file({key: value.float().contiguous() for key, value in expected.items()},
              os.path.join(folder, "expected.safetensors"))


CASES = {f"{family}-{head}": (family, head, [])
         for family in ("bert", "roberta", "distilbert", "gpt2") for head in ("bare", "lm", "classifier")}
CASES.update({
    "bert-lm-old": ("bert", "lm", ["gamma", "tied", "buffers", "other-heads"]),
    "bert-lm-sharded-f16": ("bert", "lm", ["sharded", "f16"]),
    "bert-bare-prefixed": ("bert", "bare", ["prefixed", "gelu-new"]),
    "roberta-lm-tied": ("roberta", "lm", ["tied", "sharded"]),
    "roberta-bare-bf16": ("roberta", "bare", ["bf16", "relu"]),
    "distilbert-lm-tied": ("distilbert", "lm", ["tied", "relu", "buffers"]),
    "distilbert-classifier-f16": ("distilbert", "classifier", ["f16"]),
    "gpt2-lm-original": ("gpt2", "lm", ["bare-names", "buffers"]),
    "gpt2-lm-tied": ("gpt2", "lm", ["tied"]),
    "gpt2-bare-sharded": ("gpt2", "bare", ["sharded", "prefixed"]),
    "gpt2-lm-full-square": ("gpt2", "lm", ["full=attn.c_proj"]),
    "gpt2-classifier-full-wide": ("gpt2", "classifier", ["full=mlp.c_proj", "full=ln_1"]),
    "gpt2-lm-full-words": ("gpt2", "lm", ["full=wte", "full=wpe"]),
    "gpt2-lm-biases": ("gpt2", "lm", ["biases", "full=ln_f"]),
    "bert-bare-full-norms": ("bert", "bare", ["full=LayerNorm"]),
    "bert-lm-full-words": ("bert", "lm", ["full=word_embeddings"]),
    "bert-lm-biases": ("bert", "lm", ["biases"]),
    "bert-classifier-full-positions": ("bert", "classifier", ["full=position_embeddings", "full=pooler", "biases"]),
    "roberta-lm-full-norms": ("roberta", "lm", ["full=layer_norm", "full=token_type_embeddings"]),
    "roberta-lm-full-words": ("roberta", "lm", ["full=word_embeddings"]),
    "roberta-lm-biases": ("roberta", "lm", ["biases"]),
    "distilbert-lm-full-words": ("distilbert", "lm", ["full=word_embeddings", "full=vocab_transform"]),
    "distilbert-classifier-biases": ("distilbert", "classifier", ["biases", "full=sa_layer_norm"]),
    "bert-lm-untied": ("bert", "lm", ["untied", "idle-bias", "f16", "full=cls"]),
    "roberta-lm-untied": ("roberta", "lm", ["untied"]),
    "distilbert-lm-untied": ("distilbert", "lm", ["untied", "full=word_embeddings", "full=vocab_projector"]),
    "gpt2-lm-untied": ("gpt2", "lm", ["untied", "bare-names", "biases", "full=lm_head"]),
    "bert-lm-unties-words": ("bert", "lm", ["peft-unties", "tied", "full=word_embeddings"]),
    "roberta-lm-unties-head": ("roberta", "lm", ["peft-unties", "full=lm_head"]),
    "distilbert-lm-unties-decoder": ("distilbert", "lm", ["peft-unties", "full=vocab_projector"]),
    "gpt2-lm-unties-both": ("gpt2", "lm", ["peft-unties", "full=wte", "full=lm_head"]),
    **{f"{family}-{head}": (family, head, []) for family in ("xlm-roberta", "camembert")
       for head in ("bare", "lm", "classifier")},
    "xlm-roberta-bare-prefixed": ("xlm-roberta", "bare", ["prefixed", "gamma", "sharded"]),
    "xlm-roberta-lm-tied": ("xlm-roberta", "lm", ["tied", "f16", "buffers"]),
    "xlm-roberta-lm-untied": ("xlm-roberta", "lm", ["untied", "biases"]),
    "camembert-lm-old": ("camembert", "lm", ["tied", "gamma", "buffers"]),
    "camembert-lm-unties-words": ("camembert", "lm", ["peft-unties", "full=word_embeddings"]),
    "bert-sentence-dense": ("bert", "bare", ["sentence=cls,Dense:Tanh:6,Normalize"]),
    "bert-sentence-max": ("bert", "bare", ["sentence=max"]),
    "bert-sentence-side-by-side": ("bert", "bare", ["sentence=cls+max+mean+lasttoken,Normalize"]),
    "bert-sentence-new-key": ("bert", "bare", ["sentence==mean+max,Dense:ReLU:9"]),
    "roberta-sentence-dense-twice": ("roberta", "bare", ["sentence=mean,Dense:Identity:12:no-bias,Dense:GELU:5,Normalize"]),
    "distilbert-sentence-root": ("distilbert", "bare", ["sentence=mean_sqrt_len_tokens,Normalize,Dense:Sigmoid:4:no-bias"]),
    "xlm-roberta-sentence-first": ("xlm-roberta", "bare", ["sentence==cls,Normalize"]),
    "gpt2-sentence-weighted": ("gpt2", "bare", ["sentence=weightedmean,Normalize"]),
    "gpt2-sentence-last": ("gpt2", "bare", ["sentence=lasttoken,Dense:SiLU:5"]),
    "mpnet-classifier-biases": ("mpnet", "classifier", ["biases", "full=relative_attention_bias", "full=LayerNorm"]),
    "mpnet-lm": ("mpnet", "lm", []),
    "mpnet-classifier": ("mpnet", "classifier", []),
    "mpnet-bare-long": ("mpnet", "bare", ["long", "prefixed", "buffers"]),
    "mpnet-lm-old": ("mpnet", "lm", ["gamma", "tied", "sharded", "f16"]),
    "mpnet-lm-untied": ("mpnet", "lm", ["untied", "full=relative_attention_bias"]),
    "mpnet-lm-unties-head": ("mpnet", "lm", ["peft-unties", "full=lm_head"]),
    "mpnet-bare": ("mpnet", "bare", []),
})
FAMILIES = list(NAMES)
CASES.update({
    **{f"{family}-{head}": (family, head, ["pairs"] if family == "bert" else []) for family in FAMILIES
       for head in ("tokens", "answer")},
    **{f"{family}-regression": (family, "classifier", ["outputs=1"]) for family in FAMILIES},
    **{f"{family}-labels": (family, "classifier", ["outputs=4", "problem=multi_label_classification"]) for family in FAMILIES},
    "bert-reranker": ("bert", "classifier", ["outputs=1", "pairs"]),
    "bert-inference": ("bert", "classifier", ["pairs", "inference"]),
    "bert-labels-of-one": ("bert", "classifier", ["outputs=1", "problem=multi_label_classification", "pairs"]),
    "roberta-regression-of-two": ("roberta", "classifier", ["outputs=2", "problem=regression"]),
    "bert-lm-of-pairs": ("bert", "lm", ["pairs"]),
    "bert-bare-of-pairs": ("bert", "bare", ["pairs"]),
})

if __name__ == "__main__":
    for number, (case, arguments) in enumerate(CASES.items()):
        if len(sys.argv) == 2 or case in sys.argv[2:]:
            write(os.path.join(sys.argv[1], case), *arguments, seed=number)
