package io.github.dl4jlora.internal.content;

import org.jspecify.annotations.Nullable;

import java.util.List;

/**
 * Which model of PyTorch an adapter is for, as PEFT's {@code AutoPeftModelFor…} asks.
 *
 * @param base a folder, or a name on the hub; null if that is not known
 * @param task one of {@link #TASKS}; null if that is not known
 */
public record TorchModel(@Nullable String base, @Nullable String task) {

    /** PEFT's. */
    public static final List<String> TASKS = List.of("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS", "CAUSAL_LM", "SEQ_2_SEQ_LM",
            "FEATURE_EXTRACTION");
    public static final TorchModel UNKNOWN = new TorchModel(null, null);

    /**
     * The modules that PEFT saves in full for the task, whatever else is saved: all whose names end so. A model has one of them
     * at most.
     */
    public List<String> heads() {
        return task == null ? List.of() : switch (task) {
            case "SEQ_CLS", "TOKEN_CLS" -> List.of("classifier", "score");
            case "QUESTION_ANS" -> List.of("qa_outputs");
            default -> List.of();
        };
    }
}
