package io.github.dl4jlora.internal.rewrite;

import java.util.regex.Pattern;

/**
 * What an adapted parameter is called.
 *
 * @param layer  the layer's or vertex's name
 * @param key    the stock layer's key for the parameter
 * @param module in adapter files: the layer's name where the layer has one matrix only, else {@code layer.key}
 */
public record MatrixName(String layer, String key, String module) {

    static MatrixName of(Node node, String key) {
        return new MatrixName(node.name(), key, node.matrices().module(node.name(), key));
    }

    /** Patterns may name the layer, {@code layer/key}, or, as adapters do, the module. */
    boolean isMatchedBy(Pattern pattern) {
        return pattern.matcher(layer).matches() || isNamedBy(pattern);
    }

    /** Whether the pattern names this parameter, not merely its layer. */
    boolean isNamedBy(Pattern pattern) {
        return pattern.matcher(toString()).matches() || pattern.matcher(module).matches();
    }

    @Override
    public String toString() {
        return layer + "/" + key;
    }
}
