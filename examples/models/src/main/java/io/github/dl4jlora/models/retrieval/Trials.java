package io.github.dl4jlora.models.retrieval;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.examples.Checks;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/** Teaches a task by one method with several seeds, at a given learning rate or at the best of several. */
final class Trials {

    private static final int MOST_HELD_OUT = 500;
    private static final int SHARE_HELD_OUT = 5;

    private final Training training;
    private final Settings settings;
    private final PrintWriter out;
    private final Checks checks;

    /**
     * What all have in common.
     *
     * @param rate  null: the best of the method's own
     * @param seed  the first
     */
    record Settings(int epochs, int batch, Double rate, long seed, int seeds) {

        Training.Settings of(double learningRate, long withSeed) {
            return new Training.Settings(epochs, batch, learningRate, withSeed);
        }
    }

    Trials(Training training, Settings settings, PrintWriter out, Checks checks) {
        this.training = training;
        this.settings = settings;
        this.out = out;
        this.checks = checks;
    }

    /**
     * The first seed's adapter is kept and checked.
     *
     * @param adapter its folder
     */
    Outcome of(Task task, Method method, Samples samples, Path adapter) throws IOException {
        double rate = settings.rate == null ? best(task, method, samples.train()) : settings.rate;
        List<Ranking> rankings = new ArrayList<>();
        Training.Trained first = null;
        for (long seed : LongStream.range(settings.seed, settings.seed + settings.seeds).toArray()) {
            Training.Trained trained = training.train(task, method, samples.train(), settings.of(rate, seed));
            rankings.add(training.rank(trained.network(), samples.test()));
            if (first == null && method == Method.LORA) {
                LoRAAdapter.of(trained.network()).save(adapter);
                training.check(task, trained.network(), samples.test(), checks);
            }
            first = first == null ? new Training.Trained(null, trained.values(), trained.seconds(), trained.losses()) : first;
        }
        return new Outcome(method, rate, rankings, first.values(), first.seconds(), first.losses());
    }

    /** By the nDCG@10 of some pairs that are held out from learning, with the first seed. */
    private double best(Task task, Method method, List<Sample> samples) throws IOException {
        List<Sample> heldOut = samples.subList(0, Math.max(1, Math.min(MOST_HELD_OUT, samples.size() / SHARE_HELD_OUT)));
        Set<String> texts = heldOut.stream().flatMap(Trials::texts).collect(Collectors.toSet());
        List<Sample> learned = samples.stream().filter(sample -> texts(sample).noneMatch(texts::contains)).toList();
        RateSearch search = new RateSearch(method.rates, rate -> training.rank(training.train(task, method,
                learned.isEmpty() ? samples : learned, settings.of(rate, settings.seed)).network(), heldOut).ndcg());
        String told = search.scores().entrySet().stream()
                .map(rate -> String.format(Locale.ROOT, "%.0e: %.3f", rate.getKey(), rate.getValue()))
                .collect(Collectors.joining(", "));
        out.println(String.format(Locale.ROOT, "%s, %s: nDCG@10 of %d pairs held out, by learning rate: %s; chosen: %.0e", task,
                method.title, heldOut.size(), told, search.best()));
        out.flush();
        return search.best();
    }

    private static Stream<String> texts(Sample sample) {
        return Stream.of(sample.query(), sample.document());
    }
}
