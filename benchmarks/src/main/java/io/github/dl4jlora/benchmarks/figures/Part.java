package io.github.dl4jlora.benchmarks.figures;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

import static io.github.dl4jlora.benchmarks.figures.Task.compare;
import static io.github.dl4jlora.benchmarks.figures.Task.once;
import static io.github.dl4jlora.benchmarks.figures.Task.printing;

/** What is measured together, and stands in one file of docs/figures. Where programs live is written here alone. */
enum Part {
    DENSE("chains of dense layers, FLOAT and fewer bits, against DL4J and PyTorch", 22, compare("--only STEPS")),
    GRID("more widths, batches and ranks of dense layers", 35, compare("--full --only STEPS --sides DL4J_FULL,DL4J_FROZEN,LORA,"
            + "LORA_EMBEDDED,LORA_SAMEDIFF,FLOOR,PYTORCH_LORA,PYTORCH_FULL")),
    AVX2("chains of dense layers, kernels of AVX2 alone", 7,
            compare("--avx2 --only STEPS --sides LORA,LORA_PACKED,PYTORCH_LORA")),
    CONVOLUTION("3×3 convolutions against PyTorch", 14, compare("--only CONVOLUTION --sides LORA,LORA_WITHOUT_ONEDNN,"
            + "LORA_BF16,LORA_INT8,PYTORCH_LORA,PYTORCH_TUNED")),
    LSTM("LSTMs against PyTorch", 18, compare("--only LSTM --sides LORA,LORA_WITHOUT_ONEDNN,LORA_BF16,LORA_BF16_PACKED,"
            + "LORA_INT8,PYTORCH_LORA,PYTORCH_TUNED")),
    EMBEDDING("an embedding against PyTorch", 9, compare("--only EMBEDDING --sides LORA,LORA_WITHOUT_ONEDNN,LORA_BF16,LORA_INT8,"
            + "PYTORCH_LORA,PYTORCH_TUNED")),
    ATTENTION("self-attention against PyTorch", 9, compare("--only ATTENTION --sides LORA,LORA_WITHOUT_ONEDNN,LORA_BF16,"
            + "LORA_BF16_PACKED,LORA_INT8,PYTORCH_LORA,PYTORCH_TUNED")),
    LAYERS("convolutions, an embedding, an LSTM against DL4J", 20, compare("--only LAYERS")),
    VARIANTS("DoRA, PiSSA and the other variants", 3, compare("--only VARIANTS")),
    ENCODER("MiniLM's architecture against PyTorch", 10, compare("--only ENCODER")),
    BERT_BASE("BERT-base's architecture against PyTorch", 30, compare("--only BERT_BASE")),
    TEXTS("BGE-small's step, memory of many pairs and of long texts", 20, compare("--only TEXTS")),
    ONNX("image networks against ONNX Runtime", 8, new Task("-Ponnx-runtime -pl benchmarks", "compare",
            "--only ONNX --rounds ROUNDS --output FOLDER", "", "", null, false)),
    STORAGE("a base in sixteen, eight and four bits, and in a mapped file", 4, compare("--only STORAGE")),
    SERVING("many adapters on one base", 12, compare("--only SERVING")),
    INFERENCE("forward passes: base, adapted, merged, frozen", 3, once("--only INFERENCE")),
    MEMORY("memory of training and of many networks; arrays made in a step", 10,
            once("--only ARRAYS,RESIDENT,MEMORY,ADAPTERS")),
    PLAN("memory, planned and measured", 5, once("--only PLAN")),
    DISK("bytes of saved models and adapters", 1, once("--full --only DISK")),
    SPAM("MiniLM on e-mails, four ways", 10, printing("Spam", "-Pminilm -pl examples/models", "spam", "train").ofSeeds()),
    RETRIEVAL("MiniLM on three tasks of retrieval", 20,
            printing("Retrieval", "-Pminilm -pl examples/models", "retrieval", "").ofSeeds()),
    RETRIEVAL_BGE("BGE on one of them, adapter and in full, each at its best rate, and served", 50, tuned("bge")),
    RETRIEVAL_E5("the same of E5", 50, tuned("e5")),
    BERT_SPAM("BERT-base on e-mails, four ways, FLOAT, INT8 and NF4", 60,
            converted("Spam"), bertSpam("HEAD_ONLY"),
            bertAdapter("QUERY_VALUE"), bertAdapter("QUERY_VALUE", "INT8"), bertAdapter("QUERY_VALUE", "NF4"),
            bertAdapter("LINEAR"), bertAdapter("LINEAR", "INT8"), bertAdapter("LINEAR", "NF4"), bertSpam("FULL")),
    BERT_ADAPT("BERT-base on State of the Union addresses", 60, converted("Language of a domain"),
            printing("Language of a domain", "-Pbert -pl examples/models", "bert", "adapt").ofSeeds()),
    ENLARGE("an image network on print, three ways", 20, printing("Enlarged", "-pl examples", "enlarge", "--seeds 3")),
    SPARK("what Spark sends, and a worker that is killed", 40, spark("512", "10"), spark("1024", "3"), spark("2048", "10")),
    LOAD("the HTTP service with up to 10,000 adapters", 10, load("").telling("Without batches,.*|95 %.*")),
    HOSTILE("the HTTP service beside hostile clients", 5, load("--hostile 64 --adapters 10 --seconds 8")),
    SOAK("the HTTP service for ten minutes of everything", 12, printing("Soak", "-Pserve -pl examples/serve", "soak",
            "--minutes 10 --clients 64").telling("After the warm-up: .*|At the end: .*|.* requests, .*|It keeps working.*")),
    EVIDENCE("docs/evidence.md, by a program of its own", 70,
            printing("", "-Pminilm -pl examples/evidence", "evidence", "--complete --output FOLDER"));

    private final String says;
    private final int minutes;
    private final List<Task> tasks;

    Part(String says, int minutes, Task... tasks) {
        this.says = says;
        this.minutes = minutes;
        this.tasks = List.of(tasks);
    }

    /** Makes the folder of BERT-base that the others read, if it is not there. */
    private static Task converted(String title) {
        return printing(title, "-Pbert -pl examples/models", "bert", "convert");
    }

    /** Each method by itself, so that an interrupted measurement has little to do again. */
    private static Task bertSpam(String method) {
        return printing("Spam", "-Pbert -pl examples/models", "spam",
                "train --checkpoint examples/target/bert-base-uncased --batch 4 --tokens 64 --only " + method).ofSeeds();
    }

    private static Task bertAdapter(String layers) {
        return bertSpam("LORA_" + layers + " --learning-rate 3e-4");
    }

    private static Task bertAdapter(String layers, String scheme) {
        return bertSpam("LORA_" + layers + " --learning-rate 3e-4 --quantize " + scheme).labelled(", " + scheme);
    }

    private static Task tuned(String encoder) {
        return printing("Retrieval", "-Pserve," + encoder + " -pl examples/serve", "retrieval",
                "--encoder " + encoder + " --tuned --only kinds --pairs 2000").telling("kinds, .* held out.*");
    }

    private static Task spark(String width, String epochs) {
        return printing("Spark", "-Pspark -pl examples/spark", "spark",
                "--cluster --kill --width " + width + " --epochs " + epochs).labelled(", " + width + " wide");
    }

    private static Task load(String args) {
        return printing("Load", "-Pserve -pl examples/serve", "load", args);
    }

    /** {@return the name of its file and of its option} */
    String id() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** {@return the part of that name, or null} */
    static Part of(String id) {
        return Arrays.stream(values()).filter(part -> part.id().equals(id)).findFirst().orElse(null);
    }

    String says() {
        return says;
    }

    /** {@return about how many minutes it takes with one round, on two cores} */
    int minutes() {
        return minutes;
    }

    List<Task> tasks() {
        return tasks;
    }

    /** Whether the program itself writes evidence.md, and pictures for it, into the part's folder. */
    boolean writesItsPage() {
        return this == EVIDENCE;
    }

    /** Whether figures of the part depend on a seed that its programs have as an option. */
    boolean hasSeeds() {
        return tasks.stream().anyMatch(Task::hasSeed);
    }

    /** Whether the number of rounds is an option of the part's programs. */
    boolean hasRounds() {
        return tasks.stream().anyMatch(task -> task.args().contains("ROUNDS"));
    }
}
