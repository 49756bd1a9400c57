package io.github.dl4jlora.conf;

import java.util.Collections;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** Which layers are adapted, which train in full. */
record Selection(List<Pattern> targets, Set<LayerType> types, boolean all, List<Pattern> exclude,
                         List<Pattern> trainable, Map<Pattern, LoRAConfig.LayerOverride> overrides) {

    Selection {
        targets = List.copyOf(targets);
        types = Collections.unmodifiableSet(types.isEmpty() ? EnumSet.noneOf(LayerType.class) : EnumSet.copyOf(types));
        exclude = List.copyOf(exclude);
        trainable = List.copyOf(trainable);
        overrides = Collections.unmodifiableMap(new LinkedHashMap<>(overrides));
    }

    /** The same selection with other overrides. */
    Selection withOverrides(Map<Pattern, LoRAConfig.LayerOverride> others) {
        return new Selection(targets, types, all, exclude, trainable, others);
    }
}
