/**
 * What runs adapted layers.
 */
package io.github.dl4jlora.internal.run;
