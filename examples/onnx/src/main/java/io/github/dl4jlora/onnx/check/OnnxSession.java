package io.github.dl4jlora.onnx.check;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A file in ONNX Runtime, which is called by reflection: its jar has 90 MB, and is there where a user wants it. Versions from
 * 1.20 on have all that is called here.
 */
final class OnnxSession implements AutoCloseable {

    private static final String ENVIRONMENT = "OrtEnvironment";
    private static final String SETTINGS = "OrtSession$SessionOptions";
    private static final String OPTIONS = "OrtSession$RunOptions";
    private static final String LEVEL = "OrtLoggingLevel";

    private final Object environment;
    private final Object session;

    /**
     * An input that the file asks for.
     *
     * @param whole whether it takes whole numbers, INT64
     * @param shape -1 where a size is open
     */
    record Input(String name, boolean whole, long[] shape) {
    }

    private OnnxSession(Object environment, Object session) {
        this.environment = environment;
        this.session = session;
    }

    static boolean isPossible() {
        try {
            Class.forName(nameOf(ENVIRONMENT), false, OnnxSession.class.getClassLoader());
            return true;
        } catch (ClassNotFoundException e) {
            return false;
        }
    }

    static OnnxSession open(Path file) throws IOException {
        Object environment = call(null, ENVIRONMENT, "getEnvironment", List.of());
        Object settings = made(SETTINGS);
        try {
            // It warns of each input that has a default, which is how adapters' inputs are.
            invoke(settings, SETTINGS, "setSessionLogLevel", List.of(type(LEVEL)), field(null, LEVEL, "ORT_LOGGING_LEVEL_ERROR"));
            return new OnnxSession(environment, call(environment, ENVIRONMENT, "createSession",
                    List.of(String.class, type(SETTINGS)), file.toString(), settings));
        } finally {
            close((AutoCloseable) settings);
        }
    }

    /** In the file's order. */
    List<Input> inputs() throws IOException {
        List<Input> inputs = new ArrayList<>();
        for (Map.Entry<?, ?> input : ((Map<?, ?>) call(session, "OrtSession", "getInputInfo", List.of())).entrySet()) {
            Object info = call(input.getValue(), "NodeInfo", "getInfo", List.of());
            String type = String.valueOf(field(info, "TensorInfo", "type"));
            inputs.add(new Input((String) input.getKey(), type.equals("INT64"),
                    (long[]) call(info, "TensorInfo", "getShape", List.of())));
        }
        return inputs;
    }

    /**
     * Runs the network.
     *
     * @param adapter of ONNX Runtime's form; null for none
     * @return the outputs in the file's order
     */
    List<INDArray> run(Map<Input, INDArray> inputs, @Nullable Path adapter) throws IOException {
        // The last one first, so that nothing is closed that another one still names.
        Deque<AutoCloseable> open = new ArrayDeque<>();
        try {
            Map<String, Object> tensors = new LinkedHashMap<>();
            for (Map.Entry<Input, INDArray> input : inputs.entrySet()) {
                tensors.put(input.getKey().name(), kept(tensor(input.getKey(), input.getValue()), open));
            }
            Object active = adapter == null ? null
                    : kept(call(null, "OrtLoraAdapter", "create", List.of(String.class), adapter.toString()), open);
            Object options = kept(made(OPTIONS), open);
            if (active != null) {
                invoke(options, OPTIONS, "addActiveLoraAdapter", List.of(type("OrtLoraAdapter")), active);
            }
            Object result = kept(call(session, "OrtSession", "run", List.of(Map.class, type(OPTIONS)), tensors, options), open);
            List<INDArray> outputs = new ArrayList<>();
            for (Object output : (Iterable<?>) result) {
                outputs.add(array(((Map.Entry<?, ?>) output).getValue()));
            }
            return outputs;
        } finally {
            closeAll(open);
        }
    }

    /** Closes all of them, and throws what the first one threw that did not close. */
    static void closeAll(Iterable<AutoCloseable> resources) throws IOException {
        Throwable first = null;
        for (AutoCloseable resource : resources) {
            try {
                close(resource);
            } catch (IOException | RuntimeException e) {
                if (first == null) {
                    first = e;
                } else {
                    first.addSuppressed(e);
                }
            }
        }
        if (first instanceof IOException e) {
            throw e;
        }
        if (first instanceof RuntimeException e) {
            throw e;
        }
    }

    private static Object kept(Object resource, Deque<AutoCloseable> open) {
        open.push((AutoCloseable) resource);
        return resource;
    }

    private Object tensor(Input input, INDArray values) throws IOException {
        INDArray flat = values.dup('c').reshape(values.length());
        return call(null, "OnnxTensor", "createTensor",
                List.of(type(ENVIRONMENT), input.whole() ? LongBuffer.class : FloatBuffer.class, long[].class), environment,
                input.whole() ? LongBuffer.wrap(flat.toLongVector()) : FloatBuffer.wrap(flat.toFloatVector()), values.shape());
    }

    private static INDArray array(Object tensor) throws IOException {
        FloatBuffer buffer = (FloatBuffer) call(tensor, "OnnxTensor", "getFloatBuffer", List.of());
        float[] values = new float[buffer.remaining()];
        buffer.get(values);
        long[] shape = (long[]) call(call(tensor, "OnnxTensor", "getInfo", List.of()), "TensorInfo", "getShape", List.of());
        return Nd4j.createFromArray(values).reshape('c', shape);
    }

    private static String nameOf(String type) {
        return "ai.onnxruntime." + type;
    }

    private static Class<?> type(String name) throws IOException {
        try {
            return Class.forName(nameOf(name));
        } catch (ClassNotFoundException e) {
            throw new IOException("ONNX Runtime has no " + name + ": take version 1.20 or later", e);
        }
    }

    /** What a call may end in. */
    @FunctionalInterface
    private interface Reflected<T extends @Nullable Object> {
        T call() throws ReflectiveOperationException, IOException;
    }

    private static <T extends @Nullable Object> T told(Reflected<T> reflected) throws IOException {
        try {
            return reflected.call();
        } catch (InvocationTargetException e) {
            throw failure(e.getCause());
        } catch (ReflectiveOperationException e) {
            throw failure(e);
        }
    }

    private static Object made(String type) throws IOException {
        return told(() -> type(type).getConstructor().newInstance());
    }

    /** @param of null for a static field */
    private static Object field(@Nullable Object of, String type, String name) throws IOException {
        return told(() -> type(type).getField(name).get(of));
    }

    /** @param on null for a static method */
    private static @Nullable Object invoke(@Nullable Object on, String type, String method, List<Class<?>> types,
                                           Object... arguments) throws IOException {
        return told(() -> type(type).getMethod(method, types.toArray(Class<?>[]::new)).invoke(on, arguments));
    }

    /** As {@link #invoke}, of a method that gives something. */
    private static Object call(@Nullable Object on, String type, String method, List<Class<?>> types, Object... arguments)
            throws IOException {
        return Objects.requireNonNull(invoke(on, type, method, types, arguments), method);
    }

    private static IOException failure(Throwable cause) {
        return new IOException("ONNX Runtime: " + cause.getMessage(), cause);
    }

    private static void close(AutoCloseable resource) throws IOException {
        try {
            resource.close();
        } catch (IOException | RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw failure(e);
        }
    }

    @Override
    public void close() throws IOException {
        close((AutoCloseable) session);
    }
}
