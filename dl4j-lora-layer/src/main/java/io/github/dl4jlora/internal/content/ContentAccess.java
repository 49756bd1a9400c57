package io.github.dl4jlora.internal.content;

import org.jspecify.annotations.Nullable;

import java.util.Objects;
import java.util.function.Function;

/**
 * What an adapter consists of, for the library's other packages. Users are not to see it, so {@code LoRAAdapter} has no public
 * method for it; and this package, which lies below, cannot know that class. So the class registers here, when it is initialised,
 * how its content is read, as the JDK's own classes do with SharedSecrets.
 */
public final class ContentAccess {

    /** Null until there is an adapter. */
    private static volatile @Nullable Function<Object, AdapterContent> reader;

    private ContentAccess() {
    }

    /** @param content of a {@code LoRAAdapter}; called by that class alone */
    public static void register(Function<Object, AdapterContent> content) {
        reader = content;
    }

    /** @param adapter a {@code LoRAAdapter}: where there is one, its class has registered */
    public static AdapterContent of(Object adapter) {
        return Objects.requireNonNull(reader).apply(adapter);
    }
}
