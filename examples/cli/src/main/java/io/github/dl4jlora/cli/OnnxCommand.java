package io.github.dl4jlora.cli;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.internal.common.FileIdentity;
import io.github.dl4jlora.internal.common.Temporary;
import io.github.dl4jlora.onnx.OnnxAdapter;
import io.github.dl4jlora.onnx.OnnxExport;
import io.github.dl4jlora.onnx.OnnxExportException;
import io.github.dl4jlora.onnx.OnnxForm;
import io.github.dl4jlora.onnx.OnnxForm.Tensor;
import io.github.dl4jlora.onnx.WeightType;
import io.github.dl4jlora.onnx.check.OnnxCheck;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.inputs.InputType;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;

@Command(name = "onnx", header = "Writes a network, or an adapter, for ONNX Runtime.",
        description = {"The result computes what the network does in inference, without Java and DL4J. An adapter is merged on "
                + "the way. With --separate it stays out: the result is the base, with inputs that adapters fill.",
                "Of an ADAPTER alone, the result is ONNX Runtime's file of it, for a base that was written with --separate.",
                "--check needs ONNX Runtime's jar on the class path, beside dl4j-lora.jar."},
        footer = {"  dl4j-lora onnx tuned.zip -o tuned.onnx", "  dl4j-lora onnx base.zip adapter --weights int8 -o small.onnx",
                "  dl4j-lora onnx images.zip --input images:32,32,3 -o images.onnx",
                "  dl4j-lora onnx base.zip spam tone --separate -o base.onnx",
                "  dl4j-lora onnx spam -o spam.onnx_adapter"})
final class OnnxCommand extends Work {

    /** At the end of the name of the file that large weights go into. */
    private static final String DATA = ".data";

    /** What is of use for an adapter alone. */
    private static final Set<String> OF_ADAPTERS = Set.of("--output", "--base", "--force", "--json", FailureMessage.STACK_TRACE);

    @Parameters(index = "0", paramLabel = "NETWORK|ADAPTER", description = "A network, adapted or not, or an adapter's folder.")
    private Path network;

    @Parameters(index = "1..*", arity = "0..*", paramLabel = "ADAPTER",
            description = "An adapter's folder, for a network that is not adapted. Several only with --separate.")
    private List<Path> adapters = List.of();

    @Option(names = "--base", paramLabel = "NETWORK", description = "The network that a checkpoint was adapted from. For an "
            + "ADAPTER alone: its base, which DoRA needs.")
    private Path base;

    @Option(names = "--separate", description = "Leaves adapters out, and gives the base inputs for what they change.")
    private boolean separate;

    @Option(names = "--weights", paramLabel = "WORD", defaultValue = "FLOAT",
            description = "How matrices are stored: ${COMPLETION-CANDIDATES}. Default: ${DEFAULT-VALUE}.")
    private WeightType weights;

    @Option(names = "--for-text", description = "Of a transformer: with inputs and outputs as programs for texts expect them.")
    private boolean forText;

    @Option(names = "--logits", description = "Leaves out the softmax or sigmoid of the outputs.")
    private boolean logits;

    @Option(names = "--input", paramLabel = "SIZE", converter = OnnxInput.class,
            description = "Size of one example, where the network does not record it: " + NetworkInput.WORDS
                    + "; append ,last if channels come last. steps:SIZE leaves the length open. Once for each input of the "
                    + "network.")
    private InputType[] types = {};

    @Option(names = "--input-name", paramLabel = "NAME", description = "Name of an input, once for each. Default: the network's.")
    private String[] inputs = {};

    @Option(names = "--output-name", paramLabel = "NAME",
            description = "Name of an output, once for each. Default: the network's.")
    private String[] outputs = {};

    @Option(names = "--batch", paramLabel = "N", description = "Fixes the number of examples. Default: any.")
    private Long batch;

    @Option(names = "--open-images", description = "Leaves the size of images open.")
    private boolean openImages;

    @Option(names = "--masks", description = "Adds an input for the mask of each sequence.")
    private boolean masks;

    @Option(names = "--opset", paramLabel = "N", defaultValue = "17",
            description = "Version of ONNX's operators, 17 to 21. Default: ${DEFAULT-VALUE}.")
    private int opset;

    @Option(names = "--external-data", description = "Puts weights into a file beside the output. Default: above 2 GB.")
    private boolean externalData;

    @Option(names = "--metadata", paramLabel = "KEY=VALUE",
            description = "Adds an entry to the file's metadata; may be repeated.")
    private Map<String, String> metadata = new LinkedHashMap<>();

    @Option(names = "--check", description = "Runs the network in DL4J and the result in ONNX Runtime, on random inputs, and "
            + "prints the largest difference and whether the type of the weights explains it.")
    private boolean check;

    @Mixin
    private Output output;

    @Override
    void run(Progress progress, Facts facts) throws IOException {
        output.checkedFile();
        if (AdapterFolder.is(network)) {
            requireOptionsOfAdapters();
            writeAdapter(progress, facts);
            return;
        }
        if (externalData) {
            output.checkBeside(output.beside(DATA));
        }
        require(separate || adapters.size() < 2, "One file takes one adapter. Several: --separate");
        if (check) {
            requireCheckable();
        }
        progress.expect(check ? 3 : 2).step("reading " + network);
        SavedNetwork read = SavedNetwork.read(network, base);
        List<SavedNetwork> adapted = new ArrayList<>();
        for (Path adapter : adapters) {
            adapted.add(Adapting.put(read.stock(), AdapterFolder.read(adapter), adapter, false));
        }
        if (separate && adapters.isEmpty()) {
            if (read.isStock()) {
                throw new IOException(network + " is not adapted, and no ADAPTER is named. Name those that the base is to take: "
                        + "dl4j-lora onnx " + network + " ADAPTER --separate -o " + output.path());
            }
            adapted.add(read.adapted());
        }
        List<LoRAAdapter> apart = !separate ? List.of()
                : adapted.stream().map(network -> LoRAAdapter.of(network.model())).toList();
        Model written = separate ? stock(read) : adapted.isEmpty() ? read.model() : adapted.get(0).model();
        progress.step("writing " + output.path());
        Path data = output.beside(DATA);
        FileIdentity before = FileIdentity.of(data);
        AtomicReference<OnnxForm> form = new AtomicReference<>();
        output.write((file, options) -> form.set(export(written, apart).write(file, options)));
        boolean isBeside = FileIdentity.of(data).isAnotherThan(before);
        List<String> layers = apart.stream().flatMap(adapter -> adapter.layers().stream()).distinct().toList();
        String what = "a " + read.type() + ", weights in " + weights + (separate ? ", with inputs for adapters of the layers "
                + String.join(", ", layers) : "") + ".";
        if (isBeside) {
            output.tell(what + " Both must stay in one folder.", data, facts);
        } else {
            output.tell(what, facts);
        }
        facts.say("Inputs: " + tensors(form.get().inputs()) + ". Outputs: " + tensors(form.get().outputs()) + ".");
        if (read.normalizer() != null) {
            facts.say("The result does not contain the normalizer of " + network + ": normalize inputs as before.");
        }
        facts.put("type", read.type()).put("data", isBeside ? data.toString() : null).put("weights", weights.name())
                .put("opset", opset).put("inputs", form.get().inputs().stream().map(Tensor::toString).toList())
                .put("outputs", form.get().outputs().stream().map(Tensor::toString).toList()).put("adapterInputs", layers);
        Double difference = null;
        if (check) {
            progress.step("checking");
            difference = difference(written, null);
            for (int i = 0; i < apart.size(); i++) {
                difference = Math.max(difference, active(written, apart.get(i), adapted.get(i).model()));
            }
            facts.say(String.format(Locale.ROOT, "ONNX Runtime and DL4J differ by at most %.1e of the largest output. ",
                    difference) + (difference <= OnnxCheck.explained(weights) ? "Weights in " + weights + " explain that."
                    : String.format(Locale.ROOT, "Weights in %s explain %.0e in most networks: compare outputs of your own "
                    + "inputs before you use the file.", weights, OnnxCheck.explained(weights))));
        }
        facts.put("normalizerLeftOut", read.normalizer() != null).put("largestDifference", difference)
                .put("explainedDifference", check ? OnnxCheck.explained(weights) : null);
    }

    private static String tensors(List<Tensor> tensors) {
        return tensors.stream().map(Tensor::toString).collect(Collectors.joining(", "));
    }

    private Model stock(SavedNetwork network) throws IOException {
        return network.isStock() ? network.model()
                : network.unloaded("dl4j-lora onnx BASE ADAPTER --separate -o " + output.path());
    }

    private OnnxExport export(Model written, List<LoRAAdapter> apart) {
        OnnxExport export = OnnxExport.of(written);
        if (!apart.isEmpty()) {
            export.adapters(apart.toArray(LoRAAdapter[]::new));
        }
        export.opset(opset).weights(weights).logits(logits).masks(masks).openImages(openImages).externalData(externalData);
        if (forText) {
            export.forText();
        }
        if (batch != null) {
            export.batch(batch);
        }
        if (types.length > 0) {
            export.inputTypes(types);
        }
        if (inputs.length > 0) {
            export.inputs(inputs);
        }
        if (outputs.length > 0) {
            export.outputs(outputs);
        }
        metadata.forEach(export::metadata);
        return export;
    }

    private void writeAdapter(Progress progress, Facts facts) throws IOException {
        progress.expect(2).step("reading " + network);
        LoRAAdapter read = AdapterFolder.read(network);
        Model of = base == null ? null : SavedNetwork.read(base).stock().model();
        progress.step("writing " + output.path());
        output.write((file, options) -> {
            if (of == null) {
                OnnxAdapter.write(read, file, options);
            } else {
                OnnxAdapter.write(read, of, file, options);
            }
        });
        output.tell("an adapter of the layers " + String.join(", ", read.layers()) + ".", facts);
        facts.put("layers", read.layers());
    }

    private void requireOptionsOfAdapters() {
        List<String> others = spec().commandLine().getParseResult().matchedOptions().stream()
                .map(CommandLine.Model.OptionSpec::longestName).filter(name -> !OF_ADAPTERS.contains(name)).toList();
        require(adapters.isEmpty() && others.isEmpty(), network + " is an adapter, which is written as it is. Leave out "
                + (others.isEmpty() ? adapters : String.join(", ", others)));
    }

    private void requireCheckable() throws IOException {
        require(!logits && !forText, "--check compares outputs, which --logits and --for-text change. Leave them out, or check "
                + "without them first");
        if (!OnnxCheck.isPossible()) {
            throw new IOException("--check needs ONNX Runtime: add the jar of com.microsoft.onnxruntime:onnxruntime to the class "
                    + "path, with java -cp dl4j-lora.jar:onnxruntime.jar " + Main.class.getName() + " onnx ...");
        }
    }

    /** Of the base with that adapter active. */
    private double active(Model base, LoRAAdapter apart, Model adapted) throws IOException {
        try (Temporary file = Temporary.file("dl4j-lora-", ".onnx_adapter")) {
            OnnxAdapter.write(apart, base, file.path());
            return difference(adapted, file.path());
        }
    }

    private double difference(Model computed, Path active) throws IOException {
        double difference;
        try {
            difference = OnnxCheck.largestDifference(computed, output.path(), active, types);
        } catch (RuntimeException e) {
            throw new IOException(output.path() + " is written, but " + network + " cannot compute random inputs: "
                    + e.getMessage() + ". Give the size of its inputs with --input", e);
        }
        if (!Double.isFinite(difference)) {
            throw new IOException(output.path() + " cannot be compared with " + network + ": on random inputs there are outputs "
                    + "that are not finite");
        }
        return difference;
    }
}
