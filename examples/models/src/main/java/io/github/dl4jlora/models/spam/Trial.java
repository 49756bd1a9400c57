package io.github.dl4jlora.models.spam;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.console.StatusLine;
import io.github.dl4jlora.examples.Figures;
import io.github.dl4jlora.examples.ProgressLine;
import io.github.dl4jlora.models.encoder.Tokenizer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.nd4j.evaluation.classification.Evaluation;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import picocli.CommandLine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** One method from the pretrained network to its figures. */
final class Trial {

    private final Method method;
    private final Base base;
    private final DataOptions data;
    private final TrialOptions start;
    private final CommandLine line;
    private final List<TrainingListener> watchers;

    /**
     * @param line     where progress is shown
     * @param watchers what else follows the training
     */
    Trial(Method method, Base base, DataOptions data, TrialOptions start, CommandLine line, List<TrainingListener> watchers) {
        this.method = method;
        this.base = base;
        this.data = data;
        this.start = start;
        this.line = line;
        this.watchers = watchers;
    }

    /**
     * @param output folder for what is learned, under the method's name
     */
    Outcome run(Path output) throws IOException {
        Mails mails = data.load();
        DataSetIterator train;
        DataSetIterator test;
        try (Tokenizer tokenizer = base.tokenizer(data.tokens())) {
            train = Batches.of(mails.train(), tokenizer, start.batch(), start.seed());
            test = Batches.of(mails.test(), tokenizer, start.batch(), start.seed());
        }
        ComputationGraph tuned = method.prepare(base, start);

        PeakMemory.reset();
        long begin = System.nanoTime();
        CollectScoresIterationListener scores = new CollectScoresIterationListener();
        tuned.setListeners(new ProgressLine(line.getOut(), new StatusLine(line.getErr()), method.title, data.epochs()), scores);
        watchers.forEach(tuned::addListeners);
        tuned.fit(train, data.epochs());
        double seconds = (System.nanoTime() - begin) / 1e9;
        long peak = PeakMemory.mebibytes();
        tuned.setListeners(List.of());

        Evaluation evaluation = tuned.evaluate(test);
        Path kept = method.in(Files.createDirectories(output), "");
        method.save(tuned, kept);
        scores.exportScores(method.in(output, ".tsv").toFile());
        Outcome outcome = new Outcome(evaluation.f1(Batches.SPAM), evaluation.precision(Batches.SPAM),
                evaluation.recall(Batches.SPAM), LoRA.summary(tuned).trainableParams(), seconds, peak, Figures.size(kept));
        // Frees their memory for what comes next, such as the report's page.
        Nd4j.getWorkspaceManager().destroyAllWorkspacesForCurrentThread();
        return outcome;
    }
}
