package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.examples.Checks;
import io.github.dl4jlora.examples.ProgressLine;
import io.github.dl4jlora.examples.StepTimer;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.report.page.ScoreHistory;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Adam;
import picocli.CommandLine;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** Trains one adapter after another on the same base. */
final class Training {

    static final int RANK = 8;
    static final double ALPHA = 16;
    /** Where the paper has them: Hu et al. 2021, section 4.2. */
    static final String TARGETS = "encoder\\..*\\.(query|value)";
    static final double SCALE = 20;

    private final ComputationGraph base = PretrainedEncoder.MINILM.contrastive(SCALE);
    private final INDArray before = base.params().dup();
    private final Tokenizer tokenizer;
    private final Settings settings;
    private final CommandLine line;

    /**
     * How to train.
     *
     * @param batch pairs of a step, each of which has all others for negatives
     */
    record Settings(int epochs, int batch, double learningRate, long seed) {
    }

    /** What a training took, and how its loss went. */
    record Taken(long trained, double seconds, ScoreHistory losses) {
    }

    /**
     * @param line where progress is shown
     */
    Training(Tokenizer tokenizer, Settings settings, CommandLine line) throws IOException {
        this.tokenizer = tokenizer;
        this.settings = settings;
        this.line = line;
    }

    /** Saves the adapter, and checks that it leaves the base alone. */
    Taken train(Task task, Samples samples, Path folder, Checks checks) throws IOException {
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(RANK).alpha(ALPHA)
                .scaling(Scaling.ALPHA_OVER_RANK).targets(TARGETS).updater(new Adam(settings.learningRate)).seed(settings.seed)
                .build());
        StepTimer timer = new StepTimer();
        CollectScoresIterationListener losses = new CollectScoresIterationListener();
        tuned.setListeners(new ProgressLine(line.getOut(), new StatusLine(line.getErr()), task.toString(), settings.epochs),
                timer, losses);
        tuned.fit(PairBatches.of(samples.train(), tokenizer, settings.batch, settings.seed), settings.epochs);
        tuned.setListeners(List.of());
        LoRAAdapter.of(tuned).save(folder);

        INDArray some = tokenizer.batch(samples.test().stream().limit(settings.batch).map(Sample::query).toList());
        try (LoRA.Scope off = LoRA.disabled(tuned)) {
            checks.check(task + ": with the adapter off, embeddings as the base's, bit for bit",
                    Checks.sameBits(tuned.outputSingle(some), base.outputSingle(some)));
        }
        checks.check(task + ": no parameter of the base moved by a bit", Checks.sameBits(base.params(), before));
        return new Taken(LoRA.summary(tuned).trainableParams(), timer.totalSeconds(), ScoreHistory.of(losses));
    }
}
