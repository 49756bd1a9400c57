package io.github.dl4jlora.examples.serve;

import io.github.dl4jlora.adapter.AdapterFormatException;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.apache.commons.compress.utils.SeekableInMemoryByteChannel;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Inputs and outputs as a safetensors file: tensors by the names of inputs, {@code NAME.mask} for masks; a single tensor may be
 * of any name.
 */
final class SafetensorsForm {

    private static final String MASK = ".mask";
    private static final Path BODY = Path.of("The body");

    private SafetensorsForm() {
    }

    /**
     * @param only the network's first input, which a tensor may stand for by any name if it is the only one
     * @throws Problem if it is no such file, or holds NaN or infinity
     */
    static Features read(InputStream body, String only) throws IOException {
        Map<String, INDArray> inputs = new LinkedHashMap<>();
        Map<String, INDArray> masks = new LinkedHashMap<>();
        try (Safetensors tensors = Safetensors.open(BODY, new SeekableInMemoryByteChannel(body.readAllBytes()))) {
            for (String name : tensors.names()) {
                boolean isMask = name.endsWith(MASK);
                (isMask ? masks : inputs).put(isMask ? name.substring(0, name.length() - MASK.length()) : name,
                        tensors.read(name));
            }
        } catch (AdapterFormatException e) {
            throw Problem.badRequest(e.getMessage());
        }
        if (inputs.size() == 1 && masks.isEmpty()) {
            return new Features(Map.of(only, inputs.values().iterator().next()), masks);
        }
        return new Features(inputs, masks);
    }

    static byte[] write(String adapter, Map<String, INDArray> outputs) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        Safetensors.write(bytes, outputs, Map.of("adapter", adapter));
        return bytes.toByteArray();
    }
}
