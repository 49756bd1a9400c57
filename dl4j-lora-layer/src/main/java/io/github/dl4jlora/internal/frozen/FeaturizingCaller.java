package io.github.dl4jlora.internal.frozen;

import org.deeplearning4j.nn.transferlearning.TransferLearningHelper;

/**
 * Tells {@link TransferLearningHelper}, which makes a network of the configurations that it asks running layers for, and in
 * which a frozen layer must stay frozen, from all others who ask: they read formats, sizes and losses there, which only the stock
 * layer's configuration has. DL4J passes layers nothing that would tell, and asks them for no other configuration.
 */
final class FeaturizingCaller {

    private static final StackWalker STACK = StackWalker.getInstance(StackWalker.Option.RETAIN_CLASS_REFERENCE);

    private FeaturizingCaller() {
    }

    /** Whether the helper has called the method that calls this one. */
    static boolean isAsking() {
        return STACK.walk(frames -> frames.skip(2).findFirst()
                .map(frame -> frame.getDeclaringClass() == TransferLearningHelper.class).orElse(false));
    }
}
