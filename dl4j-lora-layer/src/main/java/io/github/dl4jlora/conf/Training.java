package io.github.dl4jlora.conf;

import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.learning.config.IUpdater;
import org.nd4j.linalg.learning.regularization.Regularization;

import java.util.List;
import java.util.regex.Pattern;

/** How an adapted network trains. */
record Training(BiasTraining bias, @Nullable IUpdater updater, List<Regularization> regularization, @Nullable Long seed,
                boolean keepCounts, List<Pattern> recomputed) {

    Training {
        updater = updater == null ? null : updater.clone();
        recomputed = List.copyOf(recomputed);
        regularization = regularization.stream().map(Regularization::clone).toList();
    }
}
