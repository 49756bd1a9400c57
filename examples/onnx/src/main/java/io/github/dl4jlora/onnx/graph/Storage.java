package io.github.dl4jlora.onnx.graph;

import onnx.Onnx.TensorProto.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;

/** How weights stand in the file. Those without an axis of outputs always stand there as FLOAT. */
public enum Storage {
    /** As they are. */
    FLOAT {
        @Override
        String add(OnnxGraph graph, Weight weight) {
            return graph.initializer(Initializer.floats(weight.name(), weight.shape(), weight.values()));
        }

        @Override
        String rows(OnnxGraph graph, Weight table, String ids) {
            return graph.add("Gather", table.name(), ids);
        }
    },
    /** In two bytes, of IEEE 754. */
    FLOAT16 {
        @Override
        String add(OnnxGraph graph, Weight weight) {
            return graph.cast(graph.initializer(Initializer.encoded(weight.name(), DataType.FLOAT16, Short.BYTES, weight.shape(),
                    weight.values(), () -> (floats, count, from, to) -> {
                        for (int i = 0; i < count; i++) {
                            to.putShort(HalfFloats.half(weight.name(), floats[i]));
                        }
                    })), DataType.FLOAT);
        }
    },
    /** The upper two bytes of a FLOAT. */
    BF16 {
        @Override
        String add(OnnxGraph graph, Weight weight) {
            return graph.cast(graph.initializer(Initializer.encoded(weight.name(), DataType.BFLOAT16, Short.BYTES, weight.shape(),
                    weight.values(), () -> (floats, count, from, to) -> {
                        for (int i = 0; i < count; i++) {
                            to.putShort(HalfFloats.bfloat(floats[i]));
                        }
                    })), DataType.FLOAT);
        }
    },
    /** In one byte, with a scale for each output. */
    INT8 {
        @Override
        String add(OnnxGraph graph, Weight weight) {
            AtomicReference<float[]> found = new AtomicReference<>();
            String scales = graph.initializer(Initializer.floats(weight.name() + SCALES,
                    new long[] {weight.shape()[weight.axis()]}, () -> {
                        found.set(scales(weight));
                        return Nd4j.createFromArray(found.get());
                    }));
            String codes = graph.initializer(Initializer.encoded(weight.name(), DataType.INT8, Byte.BYTES, weight.shape(),
                    weight.values(), () -> codes(weight, found.get() == null ? scales(weight) : found.get())));
            return graph.add("DequantizeLinear", List.of(codes, scales), Attribute.of("axis", weight.axis()));
        }

        @Override
        String rows(OnnxGraph graph, Weight table, String ids) {
            String codes = graph.cast(graph.add("Gather", table.name(), ids), DataType.FLOAT);
            return graph.add("Mul", codes, graph.unsqueeze(graph.add("Gather", table.name() + SCALES, ids), -1));
        }
    };

    private static final String SCALES = ":scales";

    /** As in the library's own INT8. */
    private static final int LARGEST = 127;
    private static final float LARGEST_SCALE = Math.nextDown(Float.MAX_VALUE / LARGEST);

    /** {@return the name of a FLOAT tensor with the values of a weight that has an axis of outputs} */
    abstract String add(OnnxGraph graph, Weight weight);

    /**
     * {@return the name of a FLOAT tensor with rows of a table that was {@linkplain #add added}, whose outputs are its rows}
     *
     * @param ids of the rows, INT64
     */
    String rows(OnnxGraph graph, Weight table, String ids) {
        return graph.cast(graph.add("Gather", table.name(), ids), DataType.FLOAT);
    }

    /** The number of values that follow each other with the same output. */
    private static long run(Weight weight) {
        long run = 1;
        for (int i = weight.axis() + 1; i < weight.shape().length; i++) {
            run *= weight.shape()[i];
        }
        return run;
    }

    /** The largest magnitude of each output, over 127. */
    private static float[] scales(Weight weight) {
        float[] scales = new float[(int) weight.shape()[weight.axis()]];
        long run = run(weight);
        INDArray array = weight.values().get();
        try {
            Values.forEachPiece(weight.name(), array, (floats, count, from) -> {
                Cursor cursor = new Cursor(scales.length, run, from);
                for (int i = 0; i < count; i++) {
                    scales[cursor.output] = Math.max(scales[cursor.output], Math.abs(floats[i]));
                    cursor.next();
                }
            });
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        for (int i = 0; i < scales.length; i++) {
            float scale = Math.min(scales[i] / LARGEST, LARGEST_SCALE);
            // Of zeros, and of the smallest magnitudes that floats have. Some programs refuse a scale of zero.
            scales[i] = scale == 0 ? 1 : scale;
        }
        return scales;
    }

    private static Initializer.Encoder codes(Weight weight, float[] scales) {
        long run = run(weight);
        return (floats, count, from, to) -> {
            Cursor cursor = new Cursor(scales.length, run, from);
            for (int i = 0; i < count; i++) {
                float scale = scales[cursor.output];
                // For the smallest magnitudes that floats have, the scale is imprecise.
                float ratio = Math.max(-LARGEST, Math.min(LARGEST, floats[i] / scale));
                to.put((byte) Math.rint(ratio));
                cursor.next();
            }
        };
    }

    /** Goes through a tensor's values and knows the output of each. */
    private static final class Cursor {

        private final int outputs;
        private final long run;
        private int output;
        private long left;

        Cursor(int outputs, long run, long from) {
            this.outputs = outputs;
            this.run = run;
            output = (int) (from / run % outputs);
            left = run - from % run;
        }

        void next() {
            if (--left == 0) {
                left = run;
                output = output + 1 == outputs ? 0 : output + 1;
            }
        }
    }
}
