package io.github.dl4jlora.onnx.adapter;

import com.google.flatbuffers.FlatBufferBuilder;
import io.github.dl4jlora.onnx.OnnxExportException;
import onnx.Onnx.TensorProto.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * ONNX Runtime's form of an adapter, a FlatBuffers file of named tensors. Its schema is
 * {@code onnxruntime/lora/adapter_format/adapter_schema.fbs} of ONNX Runtime:
 *
 * <pre>
 * table Parameter { name: string; dims: [int64]; data_type: int32; raw_data: [uint8] (force_align: 8); }
 * table Adapter   { format_version: int; adapter_version: int; model_version: int; parameters: [Parameter]; }
 * file_identifier "TORT"
 * </pre>
 */
public final class AdapterFile {

    private static final int FORMAT = 1;
    private static final int FIELDS = 4;
    private static final int ALIGNMENT = 8;
    private static final int HEAD = 1 << 16;
    /** FlatBuffers has offsets of 31 bits. */
    private static final long LARGEST = Integer.MAX_VALUE / 2 - HEAD;

    private AdapterFile() {
    }

    /**
     * @param tensors by the name of the graph's input
     * @return the file's bytes
     */
    public static byte[] of(Map<String, INDArray> tensors) {
        long bytes = tensors.values().stream().mapToLong(tensor -> Float.BYTES * tensor.length()).sum();
        if (bytes > LARGEST) {
            throw new OnnxExportException("The adapter's values take " + bytes + " bytes, but an .onnx_adapter file can have "
                    + LARGEST + ". Use a smaller rank, or merge the adapter with LoRA.merge and write the network");
        }
        FlatBufferBuilder file = new FlatBufferBuilder((int) bytes + HEAD);
        int[] parameters = tensors.entrySet().stream().mapToInt(entry -> parameter(file, entry.getKey(), entry.getValue()))
                .toArray();
        int list = file.createVectorOfTables(parameters);
        file.startTable(FIELDS);
        file.addInt(0, FORMAT, 0);
        // Versions of the adapter and of its model are the user's own; ONNX Runtime does not look at them.
        file.addInt(1, 1, 0);
        file.addInt(2, 1, 0);
        file.addOffset(3, list, 0);
        file.finish(file.endTable(), "TORT");
        return file.sizedByteArray();
    }

    private static int parameter(FlatBufferBuilder file, String name, INDArray tensor) {
        int values = values(file, name, tensor);
        long[] shape = tensor.shape();
        file.startVector(Long.BYTES, shape.length, Long.BYTES);
        for (int i = shape.length - 1; i >= 0; i--) {
            file.addLong(shape[i]);
        }
        int sizes = file.endVector();
        int called = file.createString(ByteBuffer.wrap(name.getBytes(StandardCharsets.UTF_8)));
        file.startTable(FIELDS);
        file.addOffset(0, called, 0);
        file.addOffset(1, sizes, 0);
        file.addInt(2, DataType.FLOAT.getNumber(), 0);
        file.addOffset(3, values, 0);
        return file.endTable();
    }

    private static int values(FlatBufferBuilder file, String name, INDArray tensor) {
        float[] values = tensor.castTo(org.nd4j.linalg.api.buffer.DataType.FLOAT).dup('c').reshape(tensor.length())
                .toFloatVector();
        ByteBuffer raw = file.createUnintializedVector(1, Float.BYTES * values.length, ALIGNMENT);
        for (float value : values) {
            if (!Float.isFinite(value)) {
                throw new OnnxExportException("The adapter's \"" + name + "\" holds NaN or infinity; nothing was written. "
                        + "Train it with a lower learning rate, or restore an earlier state");
            }
            raw.putFloat(value);
        }
        return file.endVector();
    }
}
