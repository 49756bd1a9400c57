package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.conf.SaveOption;
import io.github.dl4jlora.internal.common.Divergence;
import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.TensorLayout;
import io.github.dl4jlora.internal.content.TorchModel;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.untrusted.RawValues;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Writes an adapter as PEFT does; {@link PeftReader} is the way back. */
public final class PeftWriter {

    private static final Logger LOG = LoggerFactory.getLogger(AdapterContent.LOGGER);

    private final PeftForm form;
    private final AdapterContent adapter;

    /**
     * @throws IllegalArgumentException where PEFT has no such adapter, naming the layers
     */
    public PeftWriter(AdapterContent adapter) {
        adapter.deltas().values().forEach(delta -> KindNames.requireName(delta.kind()));
        List<String> inHead = adaptedInHead(adapter);
        if (!inHead.isEmpty()) {
            throw new IllegalArgumentException("taskType(\"" + adapter.model().task() + "\") makes PEFT save the modules "
                    + adapter.model().heads() + " in full, but the adapter adapts " + inHead + " inside of them: PEFT would not "
                    + "find these. Leave taskType out, or train the head in full instead of adapting it");
        }
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            this.form = PeftForm.of(adapter);
            this.adapter = form.adapter();
        }
    }

    /**
     * Writes both files into a folder.
     *
     * @param path    new, empty, or with an adapter, whose two files are replaced together; other files stay
     * @throws IOException              if there is a file of that name, the folder cannot be written to, or has an adapter that
     *                                  the options forbid to replace
     * @throws IllegalArgumentException if files have no name for the adapter's variant, or one name for two of its tensors
     * @throws IllegalStateException    if a value is NaN or infinite
     */
    public void write(Path path, SaveOption... options) throws IOException {
        if (Files.exists(path) && !Files.isDirectory(path)) {
            throw new IOException(path + " is a file, but an adapter is a folder: choose another name. Nothing was written");
        }
        PeftFolder folder = new PeftFolder(path);
        AtomicFile.requireNew(folder.tensors(), options);
        AtomicFile.requireNew(folder.config(), options);
        AtomicFile.writeFolder(path, files(), options);
    }

    /**
     * Writes both files into a zip. The stream is not closed.
     *
     * @throws IOException              if it cannot be written to
     * @throws IllegalArgumentException if files have no name for the adapter's variant, or one name for two of its tensors
     * @throws IllegalStateException    if a value is NaN or infinite; then nothing was written
     */
    public void write(OutputStream out) throws IOException {
        Map<String, AtomicFile.Content> files = files();
        ZipOutputStream zip = new ZipOutputStream(out);
        zip.setLevel(Deflater.BEST_SPEED);
        for (Map.Entry<String, AtomicFile.Content> file : files.entrySet()) {
            zip.putNextEntry(new ZipEntry(file.getKey()));
            file.getValue().writeTo(zip);
            zip.closeEntry();
        }
        zip.finish();
        out.flush();
    }

    /** The same without its task, if PEFT could not read it with that. */
    public static AdapterContent withoutTaskOfAdaptedHead(AdapterContent adapter) {
        return adaptedInHead(adapter).isEmpty() ? adapter : adapter.forModel(new TorchModel(adapter.model().base(), null));
    }

    /** PEFT copies the task's head, and does not look for adapters inside of it. */
    private static List<String> adaptedInHead(AdapterContent adapter) {
        return adapter.layers().stream().filter(layer -> SavedModules.isInHead(layer, adapter)).toList();
    }

    /** By name, the tensors first: a reader that finds one new and one old file goes by them. */
    private Map<String, AtomicFile.Content> files() throws IOException {
        byte[] config = PeftConfigJson.bytes(PeftConfig.of(adapter));
        Map<String, String> metadata = Provenance.of(form, config).metadata();
        Map<String, INDArray> tensors;
        try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
            tensors = tensors();
        }
        tensors.forEach(PeftWriter::requireFinite);
        warn();
        Map<String, AtomicFile.Content> files = new LinkedHashMap<>();
        files.put(PeftFolder.TENSORS, out -> Safetensors.write(out, tensors, metadata));
        files.put(PeftFolder.CONFIG, out -> out.write(config));
        return files;
    }

    private void warn() {
        adapter.layers().stream()
                .filter(layer -> Arrays.stream(layer.split("\\.")).anyMatch(TensorName.MODULES_OF_PEFT::contains))
                .forEach(layer -> LOG.warn("Layer \"{}\" has a name that PEFT uses for its own modules; PEFT may adapt the wrong "
                        + "module", layer));
        List<String> drawn = adapter.deltas().entrySet().stream()
                .filter(entry -> KindNames.isStartOfItsOwn(entry.getValue().kind())).map(Map.Entry::getKey).toList();
        if (!drawn.isEmpty()) {
            LOG.warn("The layers {} started with randomised PiSSA (pissaIterations), or from W in fewer bits or of another base. "
                    + "PEFT takes another start and then computes something else; this library reads them back as they are. For "
                    + "PEFT, train with pissaIterations(0) on the base that PEFT has, in full precision", drawn);
        }
        List<String> unknown = adapter.deltas().entrySet().stream().filter(entry -> !entry.getValue().layout().isInPeft())
                .map(Map.Entry::getKey).toList();
        if (!unknown.isEmpty()) {
            LOG.warn("PEFT has no module for the layers {} and silently ignores their values. This library reads them back",
                    unknown);
        }
        if (!adapter.own().isEmpty()) {
            LOG.warn("The layers {} are trained in full or have trained biases, but PEFT has no modules like them and silently "
                    + "ignores their values. This library reads them back. If an older version wrote them, apply the adapter to "
                    + "its network and save LoRAAdapter.of(network)", new TreeSet<>(adapter.own()));
        }
    }

    private Map<String, INDArray> tensors() {
        Map<String, INDArray> tensors = new LinkedHashMap<>();
        adapter.deltas().forEach((layer, delta) -> {
            TensorLayout layout = delta.layout();
            put(tensors, layer, layout.nameOfA(), layout.fileA(delta.a()));
            put(tensors, layer, layout.nameOfB(), layout.fileB(delta.b()));
            delta.more().forEach((key, value) -> {
                ExtraPart part = ExtraPart.ofKey(key);
                if (part != ExtraPart.BASE_WEIGHT) {
                    put(tensors, layer, part.suffix(), part.toFile(value, layout));
                }
            });
        });
        adapter.biases().values().forEach((name, value) -> put(tensors, name, Biases.SUFFIX, value.reshape(value.length())));
        adapter.trained().forEach((layer, values) ->
                values.forEach((parameter, value) -> put(tensors, layer, "." + parameter, value)));
        return tensors;
    }

    private static void put(Map<String, INDArray> tensors, String layer, String end, INDArray value) {
        String name = TensorName.of(layer, end);
        if (tensors.put(name, value) != null) {
            throw new IllegalArgumentException("Layer \"" + layer + "\": the values of another layer are also called \"" + name
                    + "\" in an adapter's file. Rename the layer, or save the network with LoRA.save. Nothing was written");
        }
    }

    private static void requireFinite(String tensor, INDArray value) {
        if (RawValues.firstNotFinite(value) >= 0) {
            throw new IllegalStateException("Tensor \"" + tensor + "\" holds NaN or infinity: training has diverged. "
                    + Divergence.remedy(value.dataType()) + ". Nothing was written");
        }
    }
}
