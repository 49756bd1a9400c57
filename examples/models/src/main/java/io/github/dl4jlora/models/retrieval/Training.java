package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.examples.Checks;
import io.github.dl4jlora.examples.ProgressLine;
import io.github.dl4jlora.examples.StepTimer;
import io.github.dl4jlora.models.encoder.EncoderTargets;
import io.github.dl4jlora.models.encoder.PretrainedEncoder;
import io.github.dl4jlora.models.encoder.Tokenizer;
import io.github.dl4jlora.report.page.ScoreHistory;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.learning.config.Adam;
import picocli.CommandLine;

import java.io.IOException;
import java.util.List;

/** Trains one adapter after another on the same base, or a copy of it in full. */
final class Training {

    static final int RANK = 8;
    static final double ALPHA = 16;
    static final double SCALE = 20;

    private final PretrainedEncoder model;
    private final ComputationGraph base;
    private final INDArray before;
    private final Tokenizer tokenizer;
    private final CommandLine line;

    /**
     * How to train.
     *
     * @param batch pairs of a step, each of which has all others for negatives
     */
    record Settings(int epochs, int batch, double learningRate, long seed) {
    }

    /** What came of a training, what it took, and how its loss went. */
    record Trained(ComputationGraph network, long values, double seconds, ScoreHistory losses) {
    }

    /**
     * @param line where progress is shown
     */
    Training(PretrainedEncoder model, Tokenizer tokenizer, CommandLine line) throws IOException {
        this.model = model;
        this.base = model.contrastive(SCALE);
        this.before = base.params().dup();
        this.tokenizer = tokenizer;
        this.line = line;
    }

    Trained train(Task task, Method method, List<Sample> samples, Settings settings) throws IOException {
        ComputationGraph tuned = method == Method.FULL ? copy(settings) : LoRA.apply(base, LoRAConfig.builder().rank(RANK)
                .alpha(ALPHA).scaling(Scaling.ALPHA_OVER_RANK).targets(EncoderTargets.QUERY_VALUE)
                .updater(new Adam(settings.learningRate)).seed(settings.seed).build());
        StepTimer timer = new StepTimer();
        CollectScoresIterationListener losses = new CollectScoresIterationListener();
        tuned.setListeners(new ProgressLine(line.getOut(), new StatusLine(line.getErr()),
                method == Method.FULL ? task + ", in full" : task.toString(), settings.epochs), timer, losses);
        tuned.fit(PairBatches.of(samples, model, tokenizer, settings.batch, settings.seed), settings.epochs);
        tuned.setListeners(List.of());
        return new Trained(tuned, method == Method.FULL ? tuned.numParams() : LoRA.summary(tuned).trainableParams(),
                timer.totalSeconds(), ScoreHistory.of(losses));
    }

    private ComputationGraph copy(Settings settings) throws IOException {
        return model.contrastive(SCALE, new NeuralNetConfiguration.Builder().seed(settings.seed)
                .updater(new Adam(settings.learningRate)));
    }

    /** Checks that an adapter leaves the base alone. */
    void check(Task task, ComputationGraph tuned, List<Sample> test, Checks checks) {
        INDArray some = tokenizer.batch(test.stream().limit(32).map(Sample::query).toList());
        try (LoRA.Scope off = LoRA.disabled(tuned)) {
            checks.check(task + ": with the adapter off, embeddings as the base's, bit for bit",
                    Checks.sameBits(tuned.outputSingle(some), base.outputSingle(some)));
        }
        checks.check(task + ": no parameter of the base moved by a bit", Checks.sameBits(base.params(), before));
    }

    /** {@return how a network finds what it was not trained with} */
    Ranking rank(ComputationGraph network, List<Sample> test) {
        return new Finder(model, tokenizer, network::outputSingle).rank(test);
    }
}
