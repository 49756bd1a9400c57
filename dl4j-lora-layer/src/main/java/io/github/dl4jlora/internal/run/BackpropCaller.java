package io.github.dl4jlora.internal.run;

import java.lang.StackWalker.StackFrame;

/**
 * Tells a network's own training step, which discards the gradient of the network's input, from {@code calculateGradients},
 * {@code backpropGradient} and direct calls, which promise that gradient. DL4J passes layers nothing that would tell.
 */
public final class BackpropCaller {

    private static final StackWalker STACK = StackWalker.getInstance();

    private BackpropCaller() {
    }

    static boolean isTrainingStep() {
        return STACK.walk(frames -> frames
                .dropWhile(frame -> !isNetworkMethod(frame, "calcBackpropGradients"))
                .skip(1)
                .findFirst()
                .map(frame -> isNetworkMethod(frame, "computeGradientAndScore"))
                .orElse(false));
    }

    private static boolean isNetworkMethod(StackFrame frame, String method) {
        return frame.getMethodName().equals(method) && frame.getClassName().startsWith("org.deeplearning4j.nn.");
    }
}
