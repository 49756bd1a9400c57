package io.github.dl4jlora.internal.peft;

import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.untrusted.RawValues;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

import static io.github.dl4jlora.internal.peft.AdapterLog.LOG;

/** Writes an adapter as PEFT does; {@link PeftReader} is the way back. */
public final class PeftWriter {

    private static final Set<String> MODULES_OF_PEFT = Set.of("lora_dropout", "lora_A", "lora_B", "base_layer");

    private final AdapterContent adapter;

    public PeftWriter(AdapterContent adapter) {
        this.adapter = adapter;
    }

    /**
     * @throws IOException              if there is a file of that name, or the folder cannot be written to
     * @throws IllegalArgumentException if files have no name for the adapter's variant
     * @throws IllegalStateException    if a value is NaN or infinite
     */
    public void write(Path path) throws IOException {
        adapter.deltas().values().forEach(delta -> delta.kind().requireNameInFiles());
        if (Files.exists(path) && !Files.isDirectory(path)) {
            throw new IOException(path + " is a file, but an adapter is a folder: choose another name. Nothing was written");
        }
        Files.createDirectories(path);
        PeftFolder folder = new PeftFolder(path);
        byte[] config = PeftConfigJson.bytes(PeftConfig.of(adapter));
        Map<String, INDArray> tensors = tensors();
        adapter.layers().stream().filter(MODULES_OF_PEFT::contains).forEach(layer ->
                LOG.warn("Layer \"{}\" bears a name that PEFT uses for its own modules; PEFT may adapt the wrong one", layer));
        tensors.forEach(PeftWriter::requireFinite);
        Map<String, String> metadata = Provenance.of(adapter, config).metadata();
        AtomicFile.write(folder.tensors(), out -> Safetensors.write(out, tensors, metadata));
        AtomicFile.write(folder.config(), out -> out.write(config));
    }

    private Map<String, INDArray> tensors() {
        Map<String, INDArray> tensors = new LinkedHashMap<>();
        adapter.deltas().forEach((layer, delta) -> {
            TensorLayout layout = delta.layout();
            tensors.put(TensorIndex.name(layer, layout.nameOfA()), layout.fileA(delta.a()));
            tensors.put(TensorIndex.name(layer, layout.nameOfB()), layout.fileB(delta.b()));
            delta.more().forEach((key, value) -> {
                ExtraPart part = ExtraPart.ofKey(key);
                tensors.put(TensorIndex.name(layer, part.suffix()), part.toFile(value, layout));
            });
        });
        adapter.biases().values().forEach((name, value) ->
                tensors.put(TensorIndex.name(name, Biases.SUFFIX), value.reshape(value.length())));
        adapter.trained().forEach((layer, values) ->
                values.forEach((parameter, value) -> tensors.put(TensorIndex.name(layer, "." + parameter), value)));
        return tensors;
    }

    private static void requireFinite(String tensor, INDArray value) {
        if (RawValues.firstNotFinite(value) >= 0) {
            throw new IllegalStateException("Tensor \"" + tensor + "\" holds NaN or infinity: training has diverged. Lower the "
                    + "learning rate or alpha, or go back to a checkpoint. Nothing was written");
        }
    }
}
