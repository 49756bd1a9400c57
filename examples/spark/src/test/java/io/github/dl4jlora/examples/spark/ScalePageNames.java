package io.github.dl4jlora.examples.spark;

import io.github.dl4jlora.conf.LoRAConfig;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

import java.net.URI;

/** What docs/scale.md leaves to the reader: the names that its blocks use and do not declare. */
public class ScalePageNames {

    protected ComputationGraph base;
    protected LoRAConfig config;
    protected DataSetIterator batches;
    protected URI location;
    protected JavaSparkContext spark;
    protected JavaRDD<DataSet> data;
}
