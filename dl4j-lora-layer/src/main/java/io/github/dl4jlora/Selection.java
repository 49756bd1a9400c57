package io.github.dl4jlora;

import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

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

    /** The same with others in place of its overrides. */
    Selection withOverrides(Map<Pattern, LoRAConfig.LayerOverride> others) {
        return new Selection(targets, types, all, exclude, trainable, others);
    }

    /**
     * The part of a configuration's builder that says which.
     *
     * @param <B> the builder itself
     */
    abstract static class Builder<B extends Builder<B>> {

        private final List<Pattern> targets = new ArrayList<>();
        private final Set<LayerType> targetTypes = EnumSet.noneOf(LayerType.class);
        private boolean allTargets;
        private final List<Pattern> exclude = new ArrayList<>();
        private final List<Pattern> trainable = new ArrayList<>();
        private final Map<Pattern, LoRAConfig.LayerOverride> overrides = new LinkedHashMap<>();

        abstract B self();

        void select(Selection selection) {
            targets.addAll(selection.targets);
            targetTypes.addAll(selection.types);
            allTargets = selection.all;
            exclude.addAll(selection.exclude);
            trainable.addAll(selection.trainable);
            overrides.putAll(selection.overrides);
        }

        Selection selection() {
            return new Selection(targets, targetTypes, allTargets, exclude, trainable, overrides);
        }

        /**
         * What to adapt; default every DenseLayer. A pattern that matches a layer's or vertex's name adapts all weight
         * matrices it has; one that matches {@code name/key}, such as {@code lstm/RW} or {@code attention/W[qv]}, only
         * these. Tables, messages and adapter files call such a parameter {@code lstm.RW}, which a pattern matches too; with the
         * slash no dot is taken for any character. Output layers are adapted only when named.
         *
         * @param patterns regular expressions, each of a whole name
         * @return this
         * @throws IllegalArgumentException if one is no regular expression
         */
        public B targets(String... patterns) {
            addAll(targets, "targets", patterns);
            return self();
        }

        /**
         * Layers to adapt by their kind: {@code targets(LayerType.CONVOLUTION)}.
         *
         * @param types of layers
         * @return this
         */
        public B targets(LayerType... types) {
            targetTypes.addAll(List.of(types));
            return self();
        }

        /**
         * Every layer that can be adapted, but output layers: PEFT's {@code all-linear}. What cannot be is frozen.
         *
         * @return this
         */
        public B allTargets() {
            this.allTargets = true;
            return self();
        }

        /**
         * Layers, or parameters as {@code name/key}, that are not to be adapted although a target matches them.
         *
         * @param patterns regular expressions, each of a whole name
         * @return this
         */
        public B exclude(String... patterns) {
            addAll(exclude, "exclude", patterns);
            return self();
        }

        /**
         * Layers that are trained in full beside the adapters: PEFT's {@code modules_to_save}; default none.
         *
         * @param patterns regular expressions, each of a whole name
         * @return this
         */
        public B trainable(String... patterns) {
            addAll(trainable, "trainable", patterns);
            return self();
        }

        /**
         * Another rank or alpha for the layers, or parameters as {@code name/key}, that the pattern matches: PEFT's
         * {@code rank_pattern}, {@code alpha_pattern}. Where several patterns match, the first that sets a rank says the
         * rank, the first that sets an alpha the alpha, as in PEFT. The very same pattern given again changes what it set,
         * in its place.
         *
         * @param pattern  a regular expression of a whole name
         * @param settings what differs
         * @return this
         */
        public B override(String pattern, Consumer<LoRAConfig.LayerOverride.Builder> settings) {
            Pattern compiled = compile("override", pattern);
            Pattern known = overrides.keySet().stream().filter(present -> present.pattern().equals(pattern)).findFirst()
                    .orElse(compiled);
            overrides.merge(known, LoRAConfig.LayerOverride.of(
                    Objects.requireNonNull(settings, "the settings of override(\"" + pattern + "\", …) are null")),
                    LoRAConfig.LayerOverride::changedBy);
            return self();
        }

        private static void addAll(List<Pattern> list, String what, String... patterns) {
            for (String pattern : patterns) {
                list.add(compile(what, pattern));
            }
        }

        static Pattern compile(String what, String pattern) {
            if (pattern == null) {
                throw new NullPointerException(what + "(null): give a regular expression that matches names of layers");
            }
            try {
                return Pattern.compile(pattern);
            } catch (PatternSyntaxException e) {
                throw new IllegalArgumentException(what + "(\"" + pattern + "\") is no regular expression: " + e.getDescription()
                        + ". Names match literally when quoted with Pattern.quote.", e);
            }
        }
    }
}
