package io.github.dl4jlora.report.page;

import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.tune.LearningRates;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.optimize.listeners.CollectScoresIterationListener;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;

/** What docs/guide/see.md leaves to the reader: the names that its blocks use and do not declare. */
public class SeePageNames {

    protected ComputationGraph base;
    protected ComputationGraph tuned;
    protected LoRAAdapter adapter;
    protected LoRAAdapter other;
    protected CollectScoresIterationListener listener;
    protected LearningRates rates;
    protected DataSetIterator iterator;
    protected int epochs;
}
