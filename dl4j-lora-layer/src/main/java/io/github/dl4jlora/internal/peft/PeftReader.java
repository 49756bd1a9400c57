package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.BiasTraining;
import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.untrusted.Budget;
import io.github.dl4jlora.internal.untrusted.Few;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import io.github.dl4jlora.internal.untrusted.SteadyFiles;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Reads an adapter as PEFT or {@link PeftWriter} wrote it. */
public final class PeftReader {

    private static final Logger LOG = LoggerFactory.getLogger(AdapterContent.LOGGER);
    private static final Set<String> WEIGHT_AND_BIAS = Set.of("weight", "bias");
    /** What GPT-2 puts in the place of masked values. */
    private static final String MASKED = ".masked_bias";
    private static final long LONGEST_CONFIG = 4 << 20;
    /** They take a second or so. */
    private static final long MOST_STEPS = 50_000_000;
    /** Each becomes an array of ND4J, which takes a kilobyte beside its values. */
    private static final int MOST_TENSORS = 50_000;

    private final PeftFolder folder;
    private final UnaryOperator<String> keyMapper;
    private final boolean strict;

    /**
     * @param keyMapper from a module's name to a layer's; null for a module that is left out
     * @param strict    whether missing and surplus tensors are an error
     */
    public PeftReader(PeftFolder folder, UnaryOperator<String> keyMapper, boolean strict) {
        this.folder = folder;
        this.keyMapper = keyMapper;
        this.strict = strict;
    }

    /**
     * @throws AdapterFormatException if a file is missing, broken, of another kind, or asks for something that is not
     *                                supported
     */
    public AdapterContent read() throws IOException {
        try {
            return SteadyFiles.read(folder.path(), folder::files, this::content);
        } catch (AdapterFormatException e) {
            // Messages about a file's content do not say which folder it is in. The folder's name may be short and begin a word.
            boolean named = Pattern.compile(Pattern.quote(folder.toString()) + "(?!\\w)").matcher(e.getMessage()).lookingAt();
            throw named ? e : new AdapterFormatException(folder + ": " + e.getMessage(), e);
        }
    }

    private AdapterContent content(SteadyFiles files) throws IOException {
        if (Files.isRegularFile(folder.pickle()) && !files.has(folder.tensors())) {
            throw new AdapterFormatException(folder.pickle() + " is a pickle, which can run code when it is read, so it is not "
                    + "read. Convert it in Python: safetensors.torch.save_file(torch.load(\"" + PeftFolder.PICKLE
                    + "\", weights_only=True), \"" + PeftFolder.TENSORS + "\")");
        }
        if (!Files.isDirectory(folder.path())) {
            throw new AdapterFormatException(folder + (Files.exists(folder.path())
                    ? " is a file, but an adapter is a folder (for a zip, use LoRAAdapter.loader().load(stream)) with "
                    : " does not exist; it should be a folder with ")
                    + PeftFolder.TENSORS + " and " + PeftFolder.CONFIG);
        }
        String instead = files.has(folder.tensors()) ? "" : folder.insteadOfTensors();
        if (!instead.isEmpty()) {
            throw new AdapterFormatException(folder.tensors() + " does not exist or is not a file. " + instead);
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces();
             Safetensors tensors = Safetensors.open(folder.tensors(), files.channel(folder.tensors()))) {
            if (tensors.names().size() > MOST_TENSORS) {
                throw new AdapterFormatException(folder.tensors() + " has " + tensors.names().size() + " tensors, but at most "
                        + MOST_TENSORS + " are read: an adapter has only a few for each layer");
            }
            Provenance provenance = new Provenance(tensors.metadata());
            PeftConfig config = config(provenance, files);
            Budget budget = new Budget(MOST_STEPS);
            TensorNames.requireReadable(config.isOurs() ? List.of() : tensors.names());
            TensorIndex index = new TensorIndex(numbers(tensors, config, budget), config, budget);
            requireWhole(config, index);
            warnOfLeftOut(config, index);
            Map<String, Map<ExtraPart, INDArray>> extra = values(index.extra(), (part, name) -> part.read(tensors, name));
            Map<String, Map<String, INDArray>> trained = values(index.trained(), (parameter, name) -> tensors.read(name));
            Map<String, INDArray> biases = new LinkedHashMap<>();
            for (Map.Entry<String, String> bias : index.biases().entrySet()) {
                biases.put(bias.getKey(), ExtraPart.BIAS.read(tensors, bias.getValue()));
            }
            Map<String, Delta> deltas = new DeltaReader(folder, tensors, provenance, config, budget)
                    .deltas(index, extra);
            Set<String> own = new HashSet<>(config.isOurs() ? trained.keySet() : Set.of());
            own.removeIf(module -> !provenance.isOwn(module));
            return renamed(new AdapterContent(deltas, trained,
                    new Biases(biases, biases.isEmpty() ? BiasTraining.NONE : config.bias()), config.dropout(), own,
                    modules(trained, config), Set.of(), config.model()));
        }
    }

    /** Modules that PEFT copied, except where it wants more of them than is kept here, such as a batch normalisation's counts. */
    private static Set<String> modules(Map<String, Map<String, INDArray>> trained, PeftConfig config) {
        return trained.entrySet().stream().filter(module -> config.isOurs() ? config.modulesToSave().contains(module.getKey())
                : WEIGHT_AND_BIAS.containsAll(module.getValue().keySet())).map(Map.Entry::getKey).collect(Collectors.toSet());
    }

    /** The tensors that count: without integers in saved modules, and without GPT-2's masks called bias, which do not train. */
    private static List<String> numbers(Safetensors tensors, PeftConfig config, Budget budget) throws AdapterFormatException {
        SavedModules saved = config.saved();
        List<String> numbers = new ArrayList<>();
        for (String name : tensors.names()) {
            String module = TensorNames.module(name);
            int dot = module.lastIndexOf('.');
            boolean isMask = config.bias() != BiasTraining.NONE && (module.endsWith(MASKED) || module.endsWith(Biases.SUFFIX)
                    && (!tensors.isFloatingPoint(name) || isSquareMask(tensors.shape(name))));
            boolean idle = isMask || !tensors.isFloatingPoint(name) && dot > 0
                    && !saved.of(module.substring(0, dot), budget).isEmpty();
            if (!idle) {
                numbers.add(name);
            }
        }
        return numbers;
    }

    /** {@code [1, 1, positions, positions]} */
    private static boolean isSquareMask(long[] shape) {
        return shape.length == 4 && shape[0] == 1 && shape[1] == 1 && shape[2] == shape[3];
    }

    /** The file's, unless it belongs to another save than the tensors: then the copy in the tensors' metadata. */
    private PeftConfig config(Provenance provenance, SteadyFiles files) throws IOException {
        byte[] savedText = provenance.config().orElse(null);
        PeftConfig saved = savedText == null ? null : PeftConfigJson.parse(savedText);
        Optional<Path> file = files.opened().stream().filter(PeftFolder::isConfig).findFirst();
        if (file.isEmpty()) {
            if (saved != null) {
                LOG.warn("{} does not exist. Its copy in {} is used instead; PEFT needs the file itself: save the adapter "
                        + "again", folder.config(), PeftFolder.TENSORS);
                return saved;
            }
            throw new AdapterFormatException(folder.config() + " does not exist or is not a file");
        }
        byte[] text = files.bytes(file.get(), LONGEST_CONFIG);
        PeftConfig config = PeftConfigJson.parse(text);
        List<String> unknown = PeftConfigJson.unknown(text);
        if (!unknown.isEmpty()) {
            LOG.warn("{}: {} has the settings {}, which no known version of PEFT has. They are ignored: if the adapter needs "
                    + "them, it computes something else here", folder, PeftFolder.CONFIG, Few.of(unknown));
        }
        // The file is of another save only if both name one. A file without a name was edited, and counts.
        if (saved != null && saved.isOurs() && config.isOurs() && !Objects.equals(saved.saveId(), config.saveId())) {
            return saved;
        }
        // PEFT keeps the name of a save when it writes an adapter anew, but not the copy.
        return saved == null ? config.ofSave(null) : config.isOurs() ? config : config.ofSave(saved.saveId());
    }

    /** How the tensor of a layer's part is read. */
    private interface Reading<K> {
        INDArray of(K part, String tensor) throws IOException;
    }

    private static <K> Map<String, Map<K, INDArray>> values(Map<String, Map<K, String>> tensors, Reading<K> reading)
            throws IOException {
        Map<String, Map<K, INDArray>> byLayer = new LinkedHashMap<>();
        for (Map.Entry<String, Map<K, String>> layer : tensors.entrySet()) {
            Map<K, INDArray> values = new LinkedHashMap<>();
            for (Map.Entry<K, String> part : layer.getValue().entrySet()) {
                values.put(part.getKey(), reading.of(part.getKey(), part.getValue()));
            }
            byLayer.put(layer.getKey(), values);
        }
        return byLayer;
    }

    private void requireWhole(PeftConfig config, TensorIndex index) throws AdapterFormatException {
        Set<String> missing = index.missing();
        Set<String> surplus = index.surplus();
        if (missing.isEmpty() && surplus.isEmpty()) {
            return;
        }
        if (strict) {
            throw new AdapterFormatException(folder + ": missing tensors " + Few.of(missing) + ", surplus tensors "
                    + Few.of(surplus) + ". Expected are lora_A and lora_B of every layer, named "
                    + TensorName.of("(layer)", TensorLayout.LINEAR.nameOfA()) + ", and the tensors of modules_to_save "
                    + Few.of(config.modulesToSave()) + "." + (surplus.isEmpty() ? "" : " If the modules of surplus tensors were "
                    + "trained, add their names to modules_to_save in " + PeftFolder.CONFIG
                    + ". If not, save the adapter without these tensors.")
                    + (missing.isEmpty() ? "" : " To load only complete layers: LoRAAdapter.loader().strict(false)"));
        }
        LOG.warn("{}: missing tensors {}, surplus tensors {}; both are left out{}", folder, Few.of(missing),
                Few.of(surplus), index.incomplete().isEmpty() ? ""
                        : ", and so are the layers " + Few.of(index.incomplete()) + ", which are incomplete");
    }

    private void warnOfLeftOut(PeftConfig config, TensorIndex index) {
        List<String> leftOut = config.isOurs() ? List.of() : config.adapted().leftOut(index.layers());
        if (!leftOut.isEmpty()) {
            LOG.warn("{}: by target_modules, exclude_modules or layers_to_transform of {}, PEFT adapts none of the layers {}, "
                    + "and ignores the values that the file has for them. They are applied here. To leave them out too, map them "
                    + "to null with LoRAAdapter.loader().keyMapper(...)", folder, PeftFolder.CONFIG, Few.of(leftOut));
        }
    }

    private AdapterContent renamed(AdapterContent content) throws AdapterFormatException {
        try {
            return content.renamed(keyMapper);
        } catch (IllegalArgumentException e) {
            throw new AdapterFormatException(folder + ": " + e.getMessage(), e);
        }
    }
}
