package io.github.dl4jlora.internal.common;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Objects;
import java.util.Set;

/** Options that a caller gives as a list. */
public final class Options {

    private Options() {
    }

    /**
     * @throws IllegalArgumentException naming the option that is given twice
     * @throws NullPointerException     if one is null
     */
    @SafeVarargs
    public static <E extends Enum<E>> Set<E> of(E... options) {
        Set<E> chosen = new HashSet<>();
        for (E option : options) {
            Objects.requireNonNull(option, () -> "An option is null: " + Arrays.toString(options));
            if (!chosen.add(option)) {
                throw new IllegalArgumentException(option.getDeclaringClass().getSimpleName() + "." + option
                        + " is given twice. Give each option once");
            }
        }
        return chosen;
    }
}
