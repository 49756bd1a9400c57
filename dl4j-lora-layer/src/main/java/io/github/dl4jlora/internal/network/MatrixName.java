package io.github.dl4jlora.internal.network;

import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAConfig.LayerOverride;
import io.github.dl4jlora.conf.LoRASettings;
import io.github.dl4jlora.internal.stock.StockMatrices;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * What an adapted parameter is called. People read its module, {@code lstm.W}, everywhere; {@code lstm/W} is for patterns, where
 * a dot stands for any character.
 *
 * @param layer  the layer's or vertex's unique name
 * @param label  its own name, which other layers may have too
 * @param key    the stock layer's key for the parameter
 * @param module in adapter files, tables and messages: the layer's name where the layer has one matrix only, else
 *               {@code layer.key}
 */
public record MatrixName(String layer, String label, String key, String module) {

    public static MatrixName of(Node node, String key) {
        StockMatrices matrices = node.adapted() != null ? node.adapted().matrices() : node.matrices();
        return new MatrixName(node.name(), node.label(), key, matrices.module(node.name(), key));
    }

    /** Patterns may name the layer, {@code layer/key}, or, as adapters do, the module. */
    public boolean isMatchedBy(Pattern pattern) {
        return pattern.matcher(layer).matches() || pattern.matcher(label).matches() || isNamedBy(pattern);
    }

    /** Whether the pattern names this parameter, not merely its layer. */
    public boolean isNamedBy(Pattern pattern) {
        return pattern.matcher(toString()).matches() || pattern.matcher(label + "/" + key).matches()
                || pattern.matcher(module).matches() || pattern.matcher(label + module.substring(layer.length())).matches();
    }

    /** What a configuration says of this parameter: of several overrides, the first that sets something counts. */
    public LoRASettings settings(LoRAConfig config) {
        List<Map.Entry<Pattern, LayerOverride>> lastFirst = new ArrayList<>(config.overrides().entrySet());
        Collections.reverse(lastFirst);
        LoRASettings settings = config.settings();
        for (Map.Entry<Pattern, LayerOverride> override : lastFirst) {
            settings = isMatchedBy(override.getKey()) ? override.getValue().applyTo(settings) : settings;
        }
        return settings;
    }

    @Override
    public String toString() {
        return layer + "/" + key;
    }
}
