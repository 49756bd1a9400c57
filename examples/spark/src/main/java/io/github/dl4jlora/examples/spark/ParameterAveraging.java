package io.github.dl4jlora.examples.spark;

import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.deeplearning4j.core.storage.StatsStorageRouter;
import org.deeplearning4j.core.storage.listener.RoutingIterationListener;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.api.TrainingListener;
import org.deeplearning4j.spark.api.RDDTrainingApproach;
import org.deeplearning4j.spark.api.TrainingHook;
import org.deeplearning4j.spark.impl.graph.SparkComputationGraph;
import org.deeplearning4j.spark.impl.paramavg.ParameterAveragingTrainingMaster;
import org.nd4j.linalg.dataset.DataSet;

import java.util.List;

/**
 * Every worker trains on some batches, then the means of all parameters and of all updater states go back to every worker.
 */
final class ParameterAveraging {

    static final int BATCHES_BETWEEN = 5;

    private ParameterAveraging() {
    }

    /** How many rounds of averaging an epoch has: a rest that is too short for all workers joins another round. */
    static int rounds(int batches, int workers) {
        return Math.max(1, batches / (workers * BATCHES_BETWEEN));
    }

    /**
     * Trains the given network in place.
     *
     * @param watchers of the training pages; executors get copies, and the driver passes on their reports
     * @param hooks    called in the executors around every step
     */
    static void train(JavaSparkContext spark, ComputationGraph network, JavaRDD<DataSet> data, int workers, int epochs,
                      long seed, List<TrainingListener> watchers, TrainingHook... hooks) {
        ParameterAveragingTrainingMaster master = new ParameterAveragingTrainingMaster.Builder(workers, DigitsTask.BATCH)
                .batchSizePerWorker(DigitsTask.BATCH).averagingFrequency(BATCHES_BETWEEN).saveUpdater(true)
                .rddTrainingApproach(RDDTrainingApproach.Direct).rngSeed(seed).trainingHooks(hooks).build();
        SparkComputationGraph trainer = new SparkComputationGraph(spark, network, master);
        for (TrainingListener watcher : watchers) {
            // The watcher is sent without the pages' storage, and reports through the driver.
            StatsStorageRouter pages = ((RoutingIterationListener) watcher).getStorageRouter();
            ((RoutingIterationListener) watcher).setStorageRouter(null);
            trainer.setListeners(pages, watcher);
        }
        for (int epoch = 0; epoch < epochs; epoch++) {
            trainer.fit(data);
        }
    }
}
