package io.github.dl4jlora.internal.frozen;

import org.deeplearning4j.nn.transferlearning.TransferLearningHelper;

/**
 * Tells {@link TransferLearningHelper} from all other callers that ask a running layer for its configuration. The helper makes a
 * network of these configurations, in which a frozen layer must stay frozen. The others read formats, sizes and losses there,
 * which only the stock layer's configuration has. DL4J passes layers nothing that would tell who asks, and asks them for no other
 * configuration.
 */
public final class FeaturizingCaller {

    private static final StackWalker STACK = StackWalker.getInstance(StackWalker.Option.RETAIN_CLASS_REFERENCE);

    private FeaturizingCaller() {
    }

    /** Whether the helper has called the method that calls this one. */
    public static boolean isAsking() {
        return STACK.walk(frames -> frames.skip(2).findFirst()
                .map(frame -> frame.getDeclaringClass() == TransferLearningHelper.class).orElse(false));
    }
}
