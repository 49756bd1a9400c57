package io.github.dl4jlora.examples.spark;

import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.solvers.accumulation.encoding.threshold.FixedThresholdAlgorithm;
import org.deeplearning4j.spark.api.RDDTrainingApproach;
import org.deeplearning4j.spark.impl.graph.SparkComputationGraph;
import org.deeplearning4j.spark.impl.repartitioner.EqualRepartitioner;
import org.deeplearning4j.spark.parameterserver.training.SharedTrainingMaster;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.parameterserver.distributed.conf.VoidConfiguration;
import org.nd4j.parameterserver.distributed.v2.enums.MeshBuildMode;
import org.nd4j.parameterserver.distributed.v2.transport.PortSupplier;

/** Every worker sends the changes of its step, quantised and sparse, to all others over UDP while training goes on. */
final class GradientSharing {

    static final String PORT_VARIABLE = "DL4J_LORA_PORT";
    static final int DRIVER_PORT = 27600;

    private static final String LOOPBACK = "127.0.0.1";
    /** Half a step of Adam. DL4J's adaptive threshold sends a hundredth of the values, and adapters have few to begin with. */
    private static final double THRESHOLD = 1e-3;

    private GradientSharing() {
    }

    /** A port for each JVM on this machine: executors inherit the variable from their workers, and the driver has none set. */
    static final class Ports implements PortSupplier {

        @Override
        public int getPort() {
            String ofWorker = System.getenv(PORT_VARIABLE);
            return ofWorker == null ? DRIVER_PORT : Integer.parseInt(ofWorker);
        }
    }

    /**
     * Trains the given network in place.
     *
     * @param workers        in all
     * @param workersPerNode how many of them share a JVM
     */
    static void train(JavaSparkContext spark, ComputationGraph network, JavaRDD<DataSet> data, int workers, int workersPerNode,
                      int epochs, long seed) {
        VoidConfiguration transport = VoidConfiguration.builder().controllerAddress(LOOPBACK).networkMask(LOOPBACK + "/8")
                .portSupplier(new Ports()).meshBuildMode(MeshBuildMode.PLAIN).build();
        SharedTrainingMaster master = new SharedTrainingMaster.Builder(transport, workers, new FixedThresholdAlgorithm(THRESHOLD),
                DigitsTask.BATCH).batchSizePerWorker(DigitsTask.BATCH).workersPerNode(workersPerNode).rngSeed(seed)
                .repartitioner(new EqualRepartitioner()).rddTrainingApproach(RDDTrainingApproach.Direct).build();
        // One pass: between passes executors drop what others send.
        JavaRDD<DataSet> allEpochs = data;
        for (int epoch = 1; epoch < epochs; epoch++) {
            allEpochs = allEpochs.union(data);
        }
        new SparkComputationGraph(spark, network, master).fit(allEpochs);
    }
}
