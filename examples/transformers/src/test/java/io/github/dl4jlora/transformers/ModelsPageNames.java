package io.github.dl4jlora.transformers;

import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.MultiDataSetIterator;

import java.nio.file.Path;

/** What docs/models.md leaves to the reader: the names that its blocks use and do not declare. */
public class ModelsPageNames {

    protected Checkpoint checkpoint;
    protected Path folder;
    protected Path adapter;
    protected Path merged;
    protected Path file;
    protected INDArray ids;
    protected INDArray types;
    protected INDArray labels;
    protected MultiDataSetIterator test;
    protected INDArray groups;
    protected ComputationGraph encoder;
    protected ComputationGraph network;
    protected LoRAConfig small;
    protected int[] prompt;
}
