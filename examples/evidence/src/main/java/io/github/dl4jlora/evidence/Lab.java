package io.github.dl4jlora.evidence;

import io.github.dl4jlora.LoRA;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.LongStream;

/**
 * Runs trainings in parallel, each on one thread, so that the results do not depend on the number of cores. A training that
 * several claims need is run once.
 */
public final class Lab implements AutoCloseable {

    private final Map<String, FutureStart> starts = new ConcurrentHashMap<>();
    private final Map<Training, Trained> known = new ConcurrentHashMap<>();
    private final ExecutorService workers;
    private final Consumer<String> progress;
    private final boolean brief;

    /** A start that is made for the first request. */
    private static final class FutureStart {

        private Task.Start start;

        synchronized Task.Start of(Task task, long seed) {
            if (start == null) {
                start = task.start(seed);
            }
            return start;
        }
    }

    /**
     * @param threads  how many trainings run at the same time
     * @param brief    whether to use the short form, which only shows that everything works
     * @param progress receives the name of each training that ends, on threads of the lab
     */
    public Lab(int threads, boolean brief, Consumer<String> progress) {
        workers = Executors.newFixedThreadPool(threads, task -> {
            Thread thread = new Thread(task, "trainings");
            thread.setDaemon(true);
            return thread;
        });
        this.brief = brief;
        this.progress = progress;
    }

    /** {@return whether this is the short form, in which claims are examined but not judged} */
    public boolean isBrief() {
        return brief;
    }

    /** {@return 1, 2, …; one in the short form} */
    public long[] seeds(int number) {
        return LongStream.rangeClosed(1, brief ? 1 : number).toArray();
    }

    /** {@return rates, ascending, each {@code factor} times the one before; the middle one in the short form} */
    public double[] rates(double lowest, double factor, int number) {
        double[] rates = new double[number];
        for (int i = 0; i < number; i++) {
            rates[i] = Double.parseDouble(String.format(Locale.ROOT, "%.2e", lowest * Math.pow(factor, i)));
        }
        return brief ? new double[] {rates[number / 2]} : rates;
    }

    /** {@return the results of trainings, by training, in the given order} */
    public Map<Training, Trained> run(Collection<Training> trainings) {
        each(trainings.stream().distinct().filter(training -> !known.containsKey(training)).toList(), training ->
                known.put(training, train(training, prepare(training))));
        Map<Training, Trained> outcomes = new LinkedHashMap<>();
        trainings.forEach(training -> outcomes.put(training, known.get(training)));
        return outcomes;
    }

    /**
     * Runs {@code work} for each of several things in parallel; the first failure is thrown.
     *
     * @return the results, in order
     */
    public <X, Y> List<Y> each(Collection<X> things, Function<X, Y> work) {
        List<Future<Y>> futures = new ArrayList<>();
        for (X thing : things) {
            Callable<Y> call = () -> {
                Y result = work.apply(thing);
                progress.accept(thing.toString());
                return result;
            };
            futures.add(workers.submit(call));
        }
        List<Y> results = new ArrayList<>();
        try {
            for (Future<Y> future : futures) {
                results.add(future.get());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("Interrupted while trainings ran", e);
        } catch (ExecutionException e) {
            futures.forEach(future -> future.cancel(true));
            throw e.getCause() instanceof RuntimeException failure ? failure : new IllegalStateException(e.getCause());
        }
        return results;
    }

    /** {@return the base and the examples of a seed} */
    public Task.Start start(Task task, long seed) {
        return starts.computeIfAbsent(task.name() + " " + seed, key -> new FutureStart()).of(task, seed);
    }

    /** {@return a network that has not been trained yet} */
    public ComputationGraph prepare(Training training) {
        return training.method().way().prepare(training.task(), start(training.task(), training.seed()), training.rate(),
                training.seed());
    }

    /** Trains a network that {@link #prepare} made, and examines it. */
    public Trained train(Training training, ComputationGraph network) {
        Task.Start start = start(training.task(), training.seed());
        CollectScoresIterationListener scores = new CollectScoresIterationListener();
        network.addListeners(scores);
        network.fit(new ExistingDataSetIterator(start.batches()), brief ? 1 : training.epochs());
        network.setListeners(List.of());
        return new Trained(start.learned(network), start.kept(network), LoRA.summary(network).trainableParams(),
                scores.getScoreVsIter().getEffectiveScores());
    }

    @Override
    public void close() {
        workers.shutdownNow();
    }
}
