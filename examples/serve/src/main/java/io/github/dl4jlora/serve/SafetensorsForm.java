package io.github.dl4jlora.serve;

import io.github.dl4jlora.exception.AdapterFormatException;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Inputs and outputs as a safetensors file: tensors by the names of inputs, {@code NAME.mask} for masks where no input is called
 * so; a single tensor may have any name.
 */
final class SafetensorsForm {

    private static final String MASK = ".mask";
    private static final Path BODY = Path.of("The body");
    /** Bytes of a header, which names only a few tensors. */
    private static final long LONGEST_HEADER = 1 << 16;
    /** Bytes in memory of a number of any type, with its converted value. */
    private static final int NUMBER_BYTES = 8;

    private SafetensorsForm() {
    }

    /**
     * @param form  of the network; if there is only one tensor, it is for the first input, whatever its name
     * @param share of the request, which also holds the numbers
     * @throws Problem if it is not such a file, contains NaN or infinity, has a tensor that the network does not take, or more
     *                 numbers than there is room for
     */
    static Features read(SeekableByteChannel body, NetworkForm form, Intake.Share share) throws IOException {
        requireShortHeader(body);
        Map<String, INDArray> inputs = new LinkedHashMap<>();
        Map<String, INDArray> masks = new LinkedHashMap<>();
        // Indices of words are whole numbers, as JSON has them.
        DataType whole = form.type() == DataType.DOUBLE ? DataType.DOUBLE : DataType.FLOAT;
        try (Safetensors tensors = Safetensors.open(BODY, body)) {
            List<String> names = tensors.names();
            for (String name : names) {
                String masked = name.endsWith(MASK) ? name.substring(0, name.length() - MASK.length()) : name;
                boolean isMask = name.endsWith(MASK) && !form.has(name) && (names.size() > 1 || form.has(masked));
                String input = isMask ? masked : name;
                if (names.size() > 1) {
                    form.input(input);
                }
                share.add(Arrays.stream(tensors.shape(name)).reduce(NUMBER_BYTES, Math::multiplyExact));
                (isMask ? masks : inputs).put(input, tensors.read(name, whole));
            }
        } catch (AdapterFormatException e) {
            throw Problem.badRequest(e.getMessage());
        }
        if (inputs.size() == 1 && masks.isEmpty()) {
            return new Features(Map.of(form.inputs().get(0).name(), inputs.values().iterator().next()), masks);
        }
        return new Features(inputs, masks);
    }

    private static void requireShortHeader(SeekableByteChannel body) throws IOException {
        ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        body.read(length);
        if (!length.hasRemaining() && Long.compareUnsigned(length.getLong(0), LONGEST_HEADER) > 0) {
            throw Problem.badRequest("The body's header claims " + Long.toUnsignedString(length.getLong(0)) + " bytes, but may "
                    + "have " + LONGEST_HEADER + ": a body in the format safetensors begins with the length of its header");
        }
        body.position(0);
    }

    static byte[] write(String adapter, Map<String, INDArray> outputs) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        Safetensors.write(bytes, outputs, Map.of("adapter", adapter));
        return bytes.toByteArray();
    }
}
