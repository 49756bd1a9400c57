package io.github.dl4jlora.models.encoder;

import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;

import java.util.HashMap;
import java.util.Map;

/** What docs/guide/elsewhere.md leaves to the reader: the names that its blocks use and do not declare. */
public class ElsewhereNames {

    /** What a block has computed, by the name of the variable. */
    static final Map<String, Object> ANSWERS = new HashMap<>();

    protected static MultiLayerNetwork network;
    protected static MultiLayerNetwork base;
    protected static MultiLayerNetwork tuned;
    protected static ComputationGraph encoder;
    protected static float[][] rows;

    /** For the lines that a test adds. */
    protected static void keep(String variable, Object value) {
        ANSWERS.put(variable, value);
    }
}
