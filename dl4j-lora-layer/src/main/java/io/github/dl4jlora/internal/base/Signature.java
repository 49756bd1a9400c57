package io.github.dl4jlora.internal.base;

import org.nd4j.linalg.api.buffer.DataType;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What {@link FrozenWeights#signature()} spells as text.
 *
 * @param type   of the original values
 * @param shapes of all parameters, by key
 */
record Signature(DataType type, Map<String, long[]> shapes) {

    /** More parameters than a layer has: who reads a file looks at each of them more than once. */
    private static final int MOST = 1_000;
    private static final Pattern PARAMETER = Pattern.compile(" (.+?)\\[([0-9,]*)](?= |$)", Pattern.DOTALL);

    /**
     * Parses text that may say anything.
     *
     * @throws IllegalArgumentException if it describes no layer's parameters, more than a layer has, or more values than can be
     *                                  counted
     */
    static Signature of(String text) {
        Signature signature = parsed(text);
        requireFew(signature.shapes.size());
        return signature;
    }

    /** @throws IllegalArgumentException for more parameters than a layer has */
    static void requireFew(int parameters) {
        if (parameters > MOST) {
            throw new IllegalArgumentException("a frozen layer may have " + MOST + " parameters at most, not " + parameters);
        }
    }

    private static Signature parsed(String text) {
        try {
            int at = Math.max(0, text.indexOf(' '));
            DataType type = DataType.valueOf(text.substring(0, at));
            Map<String, long[]> shapes = new LinkedHashMap<>();
            Matcher parameter = PARAMETER.matcher(text);
            while (at < text.length()) {
                if (!parameter.region(at, text.length()).lookingAt() || shapes.containsKey(parameter.group(1))) {
                    throw new IllegalArgumentException("No parameter at " + at);
                }
                shapes.put(parameter.group(1), shape(parameter.group(2)));
                at = parameter.end();
            }
            Signature signature = new Signature(type, shapes);
            if (!type.isFPType() || signature.bytes() < 1) {
                throw new IllegalArgumentException("No floating-point values");
            }
            return signature;
        } catch (IllegalArgumentException | ArithmeticException e) {
            throw new IllegalArgumentException("\"" + text + "\" does not describe the parameters of a layer", e);
        }
    }

    /** A scalar, such as DL4J's OCNNOutputLayer has, has no dimensions: {@code r[]}. */
    private static long[] shape(String text) {
        return text.isEmpty() ? new long[0] : Arrays.stream(text.split(",", -1)).mapToLong(Long::parseLong).toArray();
    }

    /** The number of a parameter's values. */
    long length(String key) {
        return Arrays.stream(shapes.get(key)).reduce(1, Math::multiplyExact);
    }

    /** Bytes of a parameter's values in their type. */
    long bytes(String key) {
        return Math.multiplyExact(length(key), (long) type.width());
    }

    /** The number of all values. */
    long length() {
        return shapes.keySet().stream().mapToLong(this::length).reduce(0, Math::addExact);
    }

    /** Bytes of all values in their type. */
    long bytes() {
        return Math.multiplyExact(length(), (long) type.width());
    }

    /** @throws IllegalArgumentException if a form describes other parameters */
    void requireOf(StoredForm form) {
        boolean alike = form.parts().size() == shapes.size()
                && form.parts().stream().map(StoredForm.Part::key).distinct().count() == shapes.size()
                && form.parts().stream().allMatch(part ->
                shapes.containsKey(part.key()) && part.size() == length(part.key()));
        if (!alike) {
            throw new IllegalArgumentException("the quantised parts " + form.parts() + " do not match the parameters "
                    + shapes.keySet());
        }
    }
}
